"""Images that clients upload: checked, and turned into frames."""

import time
from collections.abc import Mapping
from typing import Any, Never

import grpc
import numpy as np

from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telescope.config import MAX_MODULE_ID
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff.product import product_of
from std_live_view.encoding import decode_image
from std_live_view.live_frame import FrameKey, LiveFrame

MAX_HEADER_BYTES = 16_384
"""An image of a telescope has one of 800 bytes."""


def uploaded_frame(image: messages.PanoImage) -> LiveFrame:
    """Return the frame of an uploaded image; raises RefusedCallError if it is none of a product."""
    if image.module_id > MAX_MODULE_ID:
        _refuse(f"module_id is {image.module_id}; modules are numbered from 0 to {MAX_MODULE_ID}")
    if reason := why_too_large(image):
        _refuse(reason)
    is_pulse_height = image.type == messages.PanoImage.PULSE_HEIGHT
    if not is_pulse_height and image.type != messages.PanoImage.MOVIE:
        _refuse("type is neither PULSE_HEIGHT nor MOVIE")
    shape = tuple(image.shape)
    product = product_of(is_pulse_height=is_pulse_height, shape=shape, bytes_per_pixel=image.bytes_per_pixel)
    if product is None:
        _refuse(f"no product has this type with shape {list(shape)} and {image.bytes_per_pixel} bytes per pixel")
    try:
        pixels = decode_image(image, np.dtype(product.dtype))
    except ValueError as error:
        _refuse(str(error))
    return LiveFrame(
        FrameKey(image.module_id, product.name),
        is_pulse_height=is_pulse_height,
        header=header_of(image),
        pixels=pixels,
        file=image.file,
        frame_number=image.frame_number,
        server_ns=time.time_ns(),
        header_bytes=image.header.ByteSize(),
    )


def why_too_large(image: messages.PanoImage) -> str:
    """Return why header or file of an image of somebody else are too large; empty if they are not."""
    if image.header.ByteSize() > MAX_HEADER_BYTES or len(image.file) > MAX_HEADER_BYTES:
        return f"header or file is larger than {MAX_HEADER_BYTES} bytes"
    return ""


def header_of(image: messages.PanoImage) -> Mapping[str, Any]:
    """Return the header of an image, as JSON has it."""
    return _as_mapping(image.header)


def _refuse(text: str) -> Never:
    raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, f"Image refused: {text}.")


def _as_mapping(struct: Any) -> Mapping[str, Any]:
    return {name: _as_value(value) for name, value in struct.fields.items()}


def _as_value(value: Any) -> Any:
    if value.HasField("number_value"):  # most are, and this is the quickest way to know
        return value.number_value
    match value.WhichOneof("kind"):
        case "struct_value":
            return _as_mapping(value.struct_value)
        case "list_value":
            return [_as_value(one) for one in value.list_value.values]
        case "null_value" | None:
            return None
        case kind:
            return getattr(value, kind)
