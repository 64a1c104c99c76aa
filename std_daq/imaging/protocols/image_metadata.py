"""ImageMetadata: the metadata of one image in a struct of 192 bytes, little-endian.

The first 56 bytes are the std-daq protocol; the other bytes are an extension. The same struct is sent over ZMQ, and is
in the journal of the ImageBuffer and in the header of each slot.
"""

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

import numpy as np

PROTOCOL_VERSION = 1

IMAGE_METADATA = np.dtype(
    [
        ("version", "<u8"),
        ("id", "<u8"),
        ("height", "<u8"),
        ("width", "<u8"),
        ("dtype", "<u2"),
        ("encoding", "<u2"),
        ("source_id", "<u2"),
        ("status", "<u2"),
        ("user_1", "<u8"),
        ("user_2", "<u8"),
        # the extension
        ("sequence", "<u8"),  # link sequence number; slot = sequence % n_slots
        ("pulse_id", "<u8"),
        ("frame_index", "<u8"),  # the detector's frame number, which is consecutive within an epoch
        ("epoch", "<u4"),  # number of restarts of the detector
        ("n_missing_modules", "<u2"),
        ("calibration", "<u2"),  # index of the entry in the ring's calibration record that was applied
        ("n_missing_packets", "<u4"),
        ("daq_rec", "<u4"),
        ("timestamp", "<u8"),  # clock of the detector
        ("first_arrival_ns", "<u8"),  # clock of this machine, since 1970
        ("last_arrival_ns", "<u8"),
        ("assembled_ns", "<u8"),
        ("exposure_length", "<u8"),  # in units of the detector
        ("storage_cell", "<u2"),
        ("padding", "V54"),
    ]
)
assert IMAGE_METADATA.itemsize == 192  # noqa: S101
assert IMAGE_METADATA.fields is not None and IMAGE_METADATA.fields["sequence"][1] == 56  # noqa: S101, PT018


class ImageMetadata(NamedTuple):
    """The fields of an IMAGE_METADATA struct as Python numbers, in their order, but for the padding."""

    version: int
    id: int
    height: int
    width: int
    dtype: int
    encoding: int
    source_id: int
    status: int
    user_1: int
    user_2: int
    sequence: int
    pulse_id: int
    frame_index: int
    epoch: int
    n_missing_modules: int
    calibration: int
    n_missing_packets: int
    daq_rec: int
    timestamp: int
    first_arrival_ns: int
    last_arrival_ns: int
    assembled_ns: int
    exposure_length: int = 0
    storage_cell: int = 0


assert (*ImageMetadata._fields, "padding") == IMAGE_METADATA.names  # noqa: S101

_STRUCT = struct.Struct("<4Q4H5QI2H2I5QH54x")
assert _STRUCT.size == IMAGE_METADATA.itemsize  # noqa: S101


def decode_image_metadata(metadata: bytes) -> ImageMetadata:
    """Return the fields of 192 bytes; several times as fast as one after the other by numpy."""
    return ImageMetadata(*_STRUCT.unpack(metadata))


def encode_image_metadata(metadata: ImageMetadata) -> bytes:
    """Return the 192 bytes of an IMAGE_METADATA struct; the padding is 0."""
    return _STRUCT.pack(*metadata)


class ImageStatus(IntFlag):
    """Faults of an image, as flags; 0 is a good image. `std_daq.imaging.image_faults` has them in words."""

    GOOD = 0
    MISSING_PACKETS = 1
    ID_MISMATCH = 2
    MISSING_MODULES = 4
    OVERWRITTEN = 8
    REFUSED_PACKETS = 16
    OUT_OF_STEP = 32
    NOT_CALIBRATED = 64
    RENUMBERED = 128


class Encoding(IntEnum):
    """Encoding of the pixels."""

    RAW = 0
    BITSHUFFLE_LZ4 = 1


_DTYPE_CODES = {
    "u1": 1, "u2": 2, "u4": 4, "u8": 8,
    "f2": 12, "f4": 14, "f8": 18,
    "i1": 21, "i2": 22, "i4": 24, "i8": 28,
}  # fmt: skip
_DTYPES = {code: np.dtype(f"<{name}") for name, code in _DTYPE_CODES.items()}


def dtype_code(dtype: np.dtype) -> int:
    """Return the protocol's code of a pixel type; raises ValueError if the protocol has no code for it."""
    try:
        return _DTYPE_CODES[np.dtype(dtype).str[1:]]
    except KeyError:
        raise ValueError(f"pixels of type {dtype} have no code in ImageMetadata") from None


def dtype_of_code(code: int) -> np.dtype:
    """Return the pixel type of a code; raises ValueError if the code is unknown."""
    try:
        return _DTYPES[code]
    except KeyError:
        raise ValueError(f"{code} is not a code of a pixel type") from None
