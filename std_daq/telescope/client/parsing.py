"""Parses an image that a server has sent: a dict, with the pixels as an array and the times of the header. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from std_daq.telescope.client.pandas_time import wall_time
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff.header import PacketStamp, first_stamp

_SIZES = (1, 2, 4)
_NS_IN_S = 1_000_000_000

ParsedImage = dict[str, Any]
"""An image: ``type``, ``header``, ``shape``, ``bytes_per_pixel``, ``image_array``, ``file``, ``frame_number``,
``module_id``; from a stream also ``host``, ``frame_id``, ``skipped``, ``capture_time``, ``server_time``."""


def parse_pano_image(image: Any) -> ParsedImage:
    """Return an image as a dict, whatever detector it is of.

    Parameters
    ----------
    image
        A PanoImage, of std-daq's messages or of another package's.

    Returns
    -------
    dict
        ``type`` is "MOVIE", "PULSE_HEIGHT" or "UNDEFINED"; ``image_array`` an array of ``shape``. The ``header`` of a
        telescope's image has three times more: ``wr_unix_timestamp`` (White Rabbit; 0 if the clocks are not
        synchronous) and ``pkt_unix_timestamp`` (the acquiring computer's) as Decimal seconds, and
        ``pandas_unix_timestamp``: a pandas.Timestamp where pandas is installed, else a numpy.datetime64.

    Raises
    ------
    ValueError
        The pixels do not fit to ``shape`` or ``bytes_per_pixel``.
    """
    header = header_of(image)
    return {
        "type": messages.PanoImage.Type.Name(image.type),
        "header": header | times_of(header),
        "shape": list(image.shape),
        "bytes_per_pixel": image.bytes_per_pixel,
        "image_array": pixels_of(image, header),
        "file": image.file,
        "frame_number": image.frame_number,
        "module_id": image.module_id,
    }


def parse_response(response: messages.StreamImagesResponse, host: str, skipped: int | None = None) -> ParsedImage:
    """Return an answer of a server as a dict: that of `parse_pano_image`, and what the server tells of the image.

    Parameters
    ----------
    response
        The answer.
    host
        Name of the host.
    skipped
        How many images of this product and module came to the server since the last one; None if nobody knows.

    Returns
    -------
    dict
        As `parse_pano_image`, with ``host``, ``skipped``, ``frame_id`` (number of the image among those of its product
        and module), ``capture_time`` and ``server_time`` (numpy.datetime64). Servers of others do not tell the last
        three; they are None.
    """
    return parse_pano_image(response.pano_image) | {
        "host": host,
        "frame_id": response.frame_id or None,
        "skipped": skipped,
        "capture_time": _time(response, "capture_time"),
        "server_time": _time(response, "server_time"),
    }


def header_of(image: Any) -> dict[str, Any]:
    """Return the header of an image; whole numbers are integers again, which a Struct has as doubles."""
    fields = image.header.fields
    return {name: _value(fields[name]) for name in sorted(fields)}  # a Struct keeps no order


def times_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the times that a telescope's header tells; none of another header."""
    try:
        stamp: PacketStamp = first_stamp(header)
    except ValueError:
        return {}
    return {
        "wr_unix_timestamp": _seconds(stamp.white_rabbit_ns),
        "pkt_unix_timestamp": _seconds(stamp.received_ns),
        "pandas_unix_timestamp": wall_time(stamp.received_ns),
    }


def pixels_of(image: Any, header: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return the pixels of an image; raises ValueError if they do not fit to shape or type."""
    if image.bytes_per_pixel not in _SIZES:
        raise ValueError(f"bytes_per_pixel is {image.bytes_per_pixel}, not one of {_SIZES}")
    shape = tuple(image.shape)
    n_pixels = int(np.prod(shape, dtype=np.int64)) if shape else 0
    if len(image.image_array) != n_pixels:
        raise ValueError(f"image_array has {len(image.image_array)} pixels, but shape {list(shape)} has {n_pixels}")
    values = np.array(image.image_array, np.uint32)
    n_bytes = image.bytes_per_pixel
    if values.max(initial=0) >= 1 << 8 * n_bytes:
        raise ValueError(f"a pixel is {values.max()}, which has more than {n_bytes} bytes")
    dtype = f"{'i' if _is_signed(image, header) else 'u'}{n_bytes}"
    return values.astype(f"u{n_bytes}", copy=False).view(dtype).reshape(shape)


def _is_signed(image: Any, header: Mapping[str, Any]) -> bool:
    """Whether pixels are signed: pulse heights, and where the header names such a type, as an ImageBuffer's."""
    if image.type == messages.PanoImage.PULSE_HEIGHT:
        return bool(image.bytes_per_pixel > 1)
    return header.get("dtype") == f"int{8 * image.bytes_per_pixel}"


def _time(response: messages.StreamImagesResponse, name: str) -> np.datetime64 | None:
    has_time = response.HasField(name)
    return np.datetime64(getattr(response, name).ToNanoseconds(), "ns") if has_time else None


def _seconds(time_ns: int) -> Decimal:
    return Decimal(time_ns) / _NS_IN_S


def _value(value: Any) -> Any:
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "struct_value":
            fields = value.struct_value.fields
            return {name: _value(fields[name]) for name in sorted(fields)}
        case "list_value":
            return [_value(one) for one in value.list_value.values]
        case "null_value" | None:
            return None
        case kind:
            return getattr(value, kind)
