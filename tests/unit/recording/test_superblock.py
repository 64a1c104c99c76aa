"""The superblock is read and written as HDF5 does it."""

from pathlib import Path

import pytest

from std_daq.errors import FileFormatError
from std_daq.recording.superblock import N_BYTES, Superblock, lookup3
from std_test_kit.image_files import write_image_file


@pytest.mark.parametrize(
    ("data", "seed", "checksum"),
    [
        (b"", 0, 0xDEADBEEF),
        (b"", 0xDEADBEEF, 0xBD5B7DDE),
        (b"Four score and seven years ago", 0, 0x17770551),
        (b"Four score and seven years ago", 1, 0xCD628161),
    ],
)
def test_checksums_are_those_that_the_author_of_lookup3_published(data: bytes, seed: int, checksum: int) -> None:
    assert lookup3(data, seed) == checksum


def test_the_superblock_of_a_closed_file_is_written_as_it_was_read(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5")
    data = path.read_bytes()
    superblock = Superblock.parse(data[:N_BYTES])
    assert superblock.to_bytes() == data[:N_BYTES]
    assert not superblock.is_open
    assert superblock.end_of_file == len(data)


def test_one_wrong_byte_anywhere_is_found(tmp_path: Path) -> None:
    data = write_image_file(tmp_path / "a.h5").read_bytes()[:N_BYTES]
    for i in range(N_BYTES):
        damaged = data[:i] + bytes([data[i] ^ 0x10]) + data[i + 1 :]
        with pytest.raises(FileFormatError):
            Superblock.parse(damaged)


@pytest.mark.parametrize("data", [b"", b"\x89HDF\r\n\x1a\n", b"P5 1024 1024 65535 " * 10])
def test_what_is_not_hdf5_is_refused(data: bytes) -> None:
    with pytest.raises(FileFormatError, match="not an HDF5 file"):
        Superblock.parse(data)
