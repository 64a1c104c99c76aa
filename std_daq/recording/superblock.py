"""The superblock of an HDF5 file, its first bytes: it shows whether a writer left the file open.

Superblock versions 2 and 3, little-endian ("Disk Format: Level 0A" of the HDF5 file format specification): signature
(8 bytes), version, size of offsets, size of lengths, consistency flags (1 each), base address, address of the
extension, end-of-file address, address of the root group (8 each), checksum (4).
"""

import struct
from dataclasses import dataclass, replace
from typing import Self

from std_daq.errors import FileFormatError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FIELDS = struct.Struct("<8sBBBBQQQQ")
N_BYTES = _FIELDS.size + 4

_WRITE_OPEN = 1
_SWMR_OPEN = 4
_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Superblock:
    """Fields of a superblock.

    Attributes
    ----------
    version
        Version of the superblock.
    flags
        Bit 0: open for writing; bit 2: open for writing in SWMR mode, while others read.
    base_address, extension_address, end_of_file, root_address
        Offsets in the file, in bytes.
    """

    version: int
    flags: int
    base_address: int
    extension_address: int
    end_of_file: int
    root_address: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a superblock.

        Raises
        ------
        FileFormatError
            The bytes are not HDF5, are damaged, or have a version or sizes that std-daq does not write.
        """
        if len(data) < N_BYTES or not data.startswith(_SIGNATURE):
            raise FileFormatError("not an HDF5 file")
        _, version, n_offset, n_length, flags, base, extension, end, root = _FIELDS.unpack_from(data)
        if version != 3 or (n_offset, n_length) != (8, 8):
            raise FileFormatError(f"an HDF5 file, but not written by std-daq (superblock version {version})")
        superblock = cls(version, flags, base, extension, end, root)
        if superblock.to_bytes() != data[:N_BYTES]:
            raise FileFormatError("the checksum of the HDF5 superblock is wrong: the file is damaged")
        return superblock

    @property
    def is_open(self) -> bool:
        """Whether a writer has the file open, or had it open when it died."""
        return bool(self.flags & (_WRITE_OPEN | _SWMR_OPEN))

    @property
    def can_be_followed(self) -> bool:
        """Whether the file can be read while it is written (SWMR: single writer, multiple readers)."""
        return bool(self.flags & _SWMR_OPEN)

    def closed(self, n_file_bytes: int) -> Self:
        """Return the superblock that a writer leaves when it closes a file of this size."""
        return replace(self, flags=self.flags & ~(_WRITE_OPEN | _SWMR_OPEN), end_of_file=n_file_bytes)

    def to_bytes(self) -> bytes:
        """Return the bytes of the superblock in the file, including the checksum."""
        fields = _FIELDS.pack(
            _SIGNATURE,
            self.version,
            8,
            8,
            self.flags,
            self.base_address,
            self.extension_address,
            self.end_of_file,
            self.root_address,
        )
        return fields + struct.pack("<I", lookup3(fields))


def lookup3(data: bytes, seed: int = 0) -> int:
    """Return the checksum of HDF5's metadata: ``hashlittle`` of Bob Jenkins' lookup3.c (2006, public domain)."""
    a = b = c = (0xDEADBEEF + len(data) + seed) & _WORD
    rest = data
    while len(rest) > 12:
        x, y, z = struct.unpack_from("<III", rest)
        a, b, c = _mix((a + x) & _WORD, (b + y) & _WORD, (c + z) & _WORD)
        rest = rest[12:]
    if not rest:
        return c
    x, y, z = struct.unpack("<III", rest.ljust(12, b"\0"))
    return _finish((a + x) & _WORD, (b + y) & _WORD, (c + z) & _WORD)


def _rotate(word: int, n_bits: int) -> int:
    return ((word << n_bits) | (word >> (32 - n_bits))) & _WORD


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for n_bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _WORD) ^ _rotate(c, n_bits)
        c = (c + b) & _WORD
        a, b, c = b, c, a
    return a, b, c


def _finish(a: int, b: int, c: int) -> int:
    for n_bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotate(b, n_bits)) & _WORD
        a, b, c = b, c, a
    # Each step rotates the three words; after seven steps, the last result is in b.
    return b
