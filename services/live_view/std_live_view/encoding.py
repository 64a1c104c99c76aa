"""Encodes pixels as protobuf does, by numpy: a message of a megapixel in milliseconds. Pure."""

import math
from array import array
from typing import Any

import numpy as np
import numpy.typing as npt

from std_daq.telescope.daqdata import daq_data_pb2 as messages

_LENGTH_DELIMITED = 2
_BITS = 7
_MAX_VARINT_BYTES = 5
_IMAGE_ARRAY = messages.PanoImage.IMAGE_ARRAY_FIELD_NUMBER
_TIMESTAMP = messages.StreamImagesResponse.TIMESTAMP_FIELD_NUMBER
_MESSAGE = messages.StreamImagesResponse.MESSAGE_FIELD_NUMBER
_LEFT_OUT = messages.StreamImagesResponse.LEFT_OUT_FIELD_NUMBER
_NS_IN_S = 1_000_000_000


def varint(value: int) -> bytes:
    """Return a number of at least 0 as a varint."""
    encoded = bytearray()
    while value >= 1 << _BITS:
        encoded.append(value & 0x7F | 0x80)
        value >>= _BITS
    encoded.append(value)
    return bytes(encoded)


def length_delimited(field: int, content: bytes) -> bytes:
    """Return a field with a content of bytes: a message, a text, packed numbers."""
    return varint(field << 3 | _LENGTH_DELIMITED) + varint(len(content)) + content


def encode_pair(first: int, second: int) -> bytes:
    """Return a message of two numbers, the fields 1 and 2: those of Timestamp, and those of LeftOut."""
    return b"\x08" + varint(first) + b"\x10" + varint(second)


def encode_about_client(sent_ns: int, by_interval: int, by_slow_client: int, text: str) -> bytes:
    """Return the fields of a StreamImagesResponse that differ from client to client.

    They are encoded for each image and client. By the classes of protobuf that takes 20 us, as long as sending it.
    """
    fields = length_delimited(_TIMESTAMP, encode_pair(*divmod(sent_ns, _NS_IN_S)))
    fields += length_delimited(_LEFT_OUT, encode_pair(by_interval, by_slow_client))
    return fields + length_delimited(_MESSAGE, text.encode()) if text else fields


def encode_pixels(pixels: npt.NDArray[Any]) -> bytes:
    """Return the field ``image_array``: pixels row by row as varints, signed ones as the bits of their type."""
    values = np.ascontiguousarray(pixels).reshape(-1)
    values = values.view(f"u{values.dtype.itemsize}")
    return length_delimited(_IMAGE_ARRAY, pack_varints(values))


def pack_varints(values: npt.NDArray[np.unsignedinteger[Any]]) -> bytes:
    """Return numbers of up to 32 bits as varints, one after the other."""
    largest = int(values.max(initial=0))
    if largest < 1 << _BITS:
        return values.astype(np.uint8).tobytes()
    if largest < 1 << 2 * _BITS:
        return _pack_two_bytes(values.astype("<u2", copy=False))
    n_columns = next(n for n in range(1, _MAX_VARINT_BYTES + 1) if n == _MAX_VARINT_BYTES or largest < 1 << _BITS * n)
    # One row for each number, with as many bytes as the largest one needs; then those that a number needs are taken.
    rows = np.empty((len(values), n_columns), np.uint8)
    is_needed = np.empty((len(values), n_columns), np.bool_)
    rest = values.astype(np.uint32)
    for column in range(n_columns):
        rows[:, column] = rest & 0x7F
        is_needed[:, column] = True if column == 0 else rest != 0
        rest >>= np.uint32(_BITS)
    rows[:, :-1] |= is_needed[:, 1:].view(np.uint8) << _BITS
    return rows[is_needed].tobytes()


def _pack_two_bytes(values: npt.NDArray[np.uint16]) -> bytes:
    """Return numbers below 2**14, as most images have them, in a third of the time."""
    is_long = values >= 1 << _BITS
    packed = (values & 0x7F) | ((values << 1) & 0x7F00) | (is_long.astype(np.uint16) << _BITS)
    if is_long.all():
        return packed.tobytes()
    is_needed = np.ones((len(values), 2), np.bool_)
    is_needed[:, 1] = is_long
    return packed.view(np.uint8)[is_needed.reshape(-1)].tobytes()


def decode_image(image: messages.PanoImage, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the pixels of a message (rows, columns); raises ValueError if they do not fit shape or type."""
    shape = tuple(image.shape)
    n_pixels = math.prod(shape) if shape else 0
    if len(image.image_array) != n_pixels:
        raise ValueError(f"image_array has {len(image.image_array)} pixels, but shape {list(shape)} has {n_pixels}")
    # By way of an array this takes half as long as one number after the other.
    values = np.frombuffer(array("I", image.image_array[:]), np.uint32)
    if values.max(initial=0) >= 1 << 8 * dtype.itemsize:
        raise ValueError(f"a pixel is {values.max()}, which has more than {dtype.itemsize} bytes")
    return values.astype(f"<u{dtype.itemsize}").view(dtype).reshape(shape)
