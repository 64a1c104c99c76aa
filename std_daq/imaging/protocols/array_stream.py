"""array-1.0, the format of the public live stream: each message has a JSON header and little-endian pixels.

Viewers at synchrotrons read this format. The header must have four keys: ``htype``, ``shape``, ``type`` and ``frame``.
Further keys are optional; viewers ignore keys that they do not know.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import ImageMetadata, ImageStatus, dtype_of_code

HTYPE = "array-1.0"
_N_PARTS = 2
_N_DIMENSIONS = 2
_DTYPES = {
    dtype.name: dtype
    for dtype in map(np.dtype, ("<u1", "<u2", "<u4", "<u8", "<i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"))
}


@dataclass(frozen=True, slots=True)
class ArrayImage:
    """An image, decoded from one message.

    Attributes
    ----------
    frame
        Id of the image.
    pixels
        Pixels, (height, width).
    header
        The whole header, with all its keys.
    """

    frame: int
    pixels: NDArray[Any]
    header: dict[str, Any]

    @property
    def is_good(self) -> bool:
        """Whether the image is good according to its sender; True if the sender does not say."""
        return bool(self.header.get("is_good_frame", True))

    @property
    def status(self) -> int:
        """Flags of `ImageStatus`; 0 if the sender does not say."""
        status = self.header.get("status")
        return status if type(status) is int and status > 0 else 0


def encode_header(metadata: ImageMetadata, more: Mapping[str, object]) -> bytes:
    """Return the header, the first part of a message.

    Parameters
    ----------
    metadata
        What is known of the image.
    more
        Further keys and their values.
    """
    header = {
        "htype": HTYPE,
        "shape": [metadata.height, metadata.width],
        "type": dtype_of_code(metadata.dtype).name,
        "frame": metadata.id,
        "is_good_frame": metadata.status == ImageStatus.GOOD,
        "pulse_id": metadata.pulse_id,
        "timestamp": metadata.timestamp,
        "exposure_length": metadata.exposure_length,
        "daq_rec": metadata.daq_rec,
        "storage_cell": metadata.storage_cell,
        "status": metadata.status,
        "n_missing_packets": metadata.n_missing_packets,
        **more,
    }
    return json.dumps(header, separators=(",", ":")).encode()


def decode(parts: Sequence[bytes | memoryview]) -> ArrayImage:
    """Decode a message from any sender; the pixels are a view of the second part.

    Raises
    ------
    ValueError
        The parts are not a valid message; the error says why.
    """
    if len(parts) != _N_PARTS:
        raise ValueError(f"a message of {HTYPE} has {_N_PARTS} parts, but this one has {len(parts)}")
    try:
        header = json.loads(bytes(parts[0]))
    except RecursionError:
        raise ValueError("the header is nested too deeply") from None
    except ValueError:
        raise ValueError("the header is not JSON") from None
    if not isinstance(header, dict) or header.get("htype") != HTYPE:
        raise ValueError(f"the header is not a header of {HTYPE}")
    dtype = _DTYPES.get(str(header.get("type")))
    if dtype is None:
        raise ValueError(f"{header.get('type')!r} is not a type of pixels")
    height, width = _shape(header.get("shape"))
    if len(parts[1]) != height * width * dtype.itemsize:
        raise ValueError(f"{height} x {width} pixels of {dtype} do not have {len(parts[1])} bytes")
    frame = header.get("frame")
    if type(frame) is not int:
        raise ValueError(f"frame {frame!r} is not an integer")
    return ArrayImage(frame, np.frombuffer(parts[1], dtype).reshape(height, width), header)


def _shape(shape: object) -> tuple[int, int]:
    if isinstance(shape, list) and len(shape) == _N_DIMENSIONS:
        height, width = shape
        if type(height) is int and type(width) is int and height > 0 and width > 0:
            return height, width
    raise ValueError(f"{shape!r} is not a height and a width")
