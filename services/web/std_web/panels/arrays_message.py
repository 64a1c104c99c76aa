"""One binary message with a header and arrays, as panels get them over WebSockets.

::

    4 bytes   SDP1
    uint32    length n of the header, little-endian
    n bytes   the header, JSON; its "arrays" are a list of {name, dtype, shape, offset}
    padding   to a multiple of 8 bytes
    ...       the arrays, little-endian and in C order; offsets count from here, in multiples of 8 bytes
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"SDP1"
_HEAD_BYTES = 8
_ALIGNMENT = 8


def encode_arrays(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the message.

    Parameters
    ----------
    header
        What JSON can hold, without NaN, infinity, or a key ``arrays``.
    arrays
        The arrays, by name.
    """
    described, pieces, offset = [], [], 0
    for name, array in arrays.items():
        described.append({"name": name, "dtype": array.dtype.name, "shape": array.shape, "offset": offset})
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        pieces.append(_padded(data))
        offset += len(pieces[-1])
    document = {**header, "arrays": described}
    text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    return b"".join([_padded(MAGIC + len(text).to_bytes(4, "little") + text), *pieces])


def decode_arrays(message: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays of a message; raises ValueError if it is none."""
    if message[: len(MAGIC)] != MAGIC:
        raise ValueError(f"the message does not begin with {MAGIC.decode()}")
    end = _HEAD_BYTES + int.from_bytes(message[len(MAGIC) : _HEAD_BYTES], "little")
    header = json.loads(message[_HEAD_BYTES:end])
    begin = end + -end % _ALIGNMENT
    arrays = {}
    for entry in header.pop("arrays"):
        n = int(np.prod(entry["shape"], dtype=np.int64))
        dtype = np.dtype(entry["dtype"]).newbyteorder("<")
        arrays[entry["name"]] = np.frombuffer(message, dtype, n, begin + entry["offset"]).reshape(entry["shape"])
    return header, arrays


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
