"""The messages of the WebSocket of live images; docs/reference/console.md describes them."""

import json
import math
import struct
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from std_daq.config.wrong_input import problem_in_words

MAGIC = b"SDI1"
MAX_SIZE = 4096
MAX_ROIS = 16
_ALIGNMENT = 8
_LENGTH = struct.Struct("<I")
_STRICT = ConfigDict(extra="forbid", strict=True)

Pixel = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Corners = Annotated[list[Pixel], Field(min_length=4, max_length=4)]
Side = Annotated[int, Field(ge=1, le=MAX_SIZE)]


class View(BaseModel):
    """What a window shows; it holds for all images until another one comes."""

    model_config = _STRICT

    type: Literal["view"] = "view"
    region: Corners | None = Field(
        None, description="Corners x0, y0, x1, y1, the ends excluded; null: the whole image."
    )
    size: Annotated[list[Side], Field(min_length=2, max_length=2)] = Field(
        default_factory=lambda: [1024, 1024], description="Width and height of the window, in pixels."
    )
    reduce: Literal["max", "mean"] = Field("max", description="What a bin becomes of its pixels.")
    position: Annotated[int, Field(ge=0, lt=2**63)] | Literal["newest"] = Field(
        "newest", description="Sequence number of the image, or newest."
    )
    cursor: Annotated[list[Pixel], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Pixel x, y whose value, row and column are wanted."
    )
    rois: Annotated[list[Corners], Field(max_length=MAX_ROIS)] = Field(
        default_factory=list, description="Regions of interest, as the region."
    )
    histogram: bool = Field(False, description="Whether the histogram is wanted.")


class Next(BaseModel):
    """The client can take another image."""

    model_config = _STRICT

    type: Literal["next"]


ClientMessage = Annotated[View | Next, Field(discriminator="type")]
_CLIENT_MESSAGE: TypeAdapter[View | Next] = TypeAdapter(ClientMessage)


def parse(text: str) -> View | Next:
    """Return the message of a client.

    Raises
    ------
    ValueError
        It is none; the text of the error says why.
    """
    try:
        return _CLIENT_MESSAGE.validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ValueError(f"{place}: {problem_in_words(fault)}" if place else problem_in_words(fault)) from None


def encode_image(header: dict[str, Any], values: NDArray[Any], flags: NDArray[np.uint8]) -> bytes:
    """Return the message with an image.

    Parameters
    ----------
    header
        What is said about it; the shape and the type of the values are added.
    values, flags
        Value and flags of each bin, (rows, columns).
    """
    text = json.dumps(
        finite({**header, "shape": list(values.shape), "dtype": values.dtype.name}), separators=(",", ":")
    ).encode()
    head = MAGIC + _LENGTH.pack(len(text)) + text
    padding = bytes(-len(head) % _ALIGNMENT)
    return b"".join((head, padding, np.ascontiguousarray(values).tobytes(), np.ascontiguousarray(flags).tobytes()))


def decode_image(message: bytes) -> tuple[dict[str, Any], NDArray[Any], NDArray[np.uint8]]:
    """Return the header, the values and the flags of a message with an image; raises ValueError for anything else."""
    if message[:4] != MAGIC or len(message) < 8:
        raise ValueError("the message is no image")
    begin = 8 + _LENGTH.unpack_from(message, 4)[0]
    header = json.loads(message[8:begin])
    begin += -begin % _ALIGNMENT
    rows, columns = header["shape"]
    values = np.frombuffer(message, header["dtype"], rows * columns, begin).reshape(rows, columns)
    flags = np.frombuffer(message, np.uint8, rows * columns, begin + values.nbytes).reshape(rows, columns)
    return header, values, flags


def finite(value: Any) -> Any:
    """Return a document without numbers that JSON does not have; null stands for them."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: finite(content) for key, content in value.items()}
        case list() | tuple():
            return [finite(content) for content in value]
    return value
