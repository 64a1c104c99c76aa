"""LiveFrame: one image on its way to clients, and its message, which is encoded once for all of them."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff.header import first_stamp
from std_live_view.encoding import encode_pixels, length_delimited

_PANO_IMAGE = messages.StreamImagesResponse.PANO_IMAGE_FIELD_NUMBER
# What clients of the first generation look for.
_NAME = "StreamImageResponse [Data]"
_BOARDS = (0, 1, 2, 3)
_FRAME_BYTES = 8192  # about what header and message of an image of a telescope take, beside its pixels
_HEADER_FACTOR = 16  # a header of short or empty values takes so many times its size in messages
_MAX_TIME_NS = 253_402_300_800 * 10**9  # a Timestamp ends with the year 9999


class FrameKey(NamedTuple):
    """What the filters of clients hold for, each by itself: a product of a module."""

    module_id: int
    product: str


class LiveFrame:
    """One image on its way to clients.

    Parameters
    ----------
    key
        Module and product.
    is_pulse_height
        Whether it is one of pulse heights; else it is a movie image.
    header
        The header, as JSON has it.
    pixels
        The pixels (rows, columns).
    file, frame_number
        Where the image comes from.
    server_ns
        When it came, in nanoseconds since 1970.
    header_bytes
        Size of the header as it came, if somebody else has made it.
    """

    __slots__ = (
        "__dict__",
        "file",
        "frame_id",
        "frame_number",
        "header",
        "header_bytes",
        "is_pulse_height",
        "key",
        "pixels",
        "server_ns",
    )

    def __init__(
        self,
        key: FrameKey,
        *,
        is_pulse_height: bool,
        header: Mapping[str, Any],
        pixels: npt.NDArray[Any],
        file: str,
        frame_number: int,
        server_ns: int,
        header_bytes: int = 0,
    ) -> None:
        self.key = key
        self.is_pulse_height = is_pulse_height
        self.header = header
        self.header_bytes = header_bytes
        self.pixels = pixels
        self.file = file
        self.frame_number = frame_number
        self.server_ns = server_ns
        self.frame_id = 0
        """Number among the frames of its key, counted from 1; given when it is published."""

    @property
    def board(self) -> int | None:
        """The board from which the image comes, if it comes from a single one of a telescope."""
        board = self.header.get("quabo_num")  # a float in what was uploaded
        return int(board) if isinstance(board, int | float) and board in _BOARDS else None

    @property
    def capture_ns(self) -> int:
        """When the image was taken, in nanoseconds since 1970; 0 if its header does not tell."""
        try:
            captured_ns = first_stamp(self.header).received_ns
        except ValueError:
            captured_ns = self.header.get("capture_ns", 0)
        return captured_ns if isinstance(captured_ns, int) and 0 < captured_ns < _MAX_TIME_NS else 0

    @cached_property
    def message(self) -> bytes:
        """The fields of a StreamImagesResponse that are the same for every client."""
        response = messages.StreamImagesResponse(name=_NAME, frame_id=self.frame_id)
        response.server_time.FromNanoseconds(self.server_ns)
        if self.capture_ns:
            response.capture_time.FromNanoseconds(self.capture_ns)
        image = messages.PanoImage(
            type=messages.PanoImage.PULSE_HEIGHT if self.is_pulse_height else messages.PanoImage.MOVIE,
            shape=self.pixels.shape,
            bytes_per_pixel=self.pixels.dtype.itemsize,
            file=self.file,
            frame_number=self.frame_number % 2**32,
            module_id=self.key.module_id,
        )
        image.header.update(self.header)
        pano_image = image.SerializeToString() + encode_pixels(self.pixels)
        # A message may be composed of pieces in any order.
        return response.SerializeToString() + length_delimited(_PANO_IMAGE, pano_image)

    @property
    def content_bytes(self) -> int:
        """About how much memory the pixels take, and a header that somebody else has made, in bytes."""
        return self.pixels.nbytes + _HEADER_FACTOR * self.header_bytes

    @property
    def memory(self) -> int:
        """About how much memory it takes at most, in bytes; whoever keeps frames counts it."""
        return max(self.content_bytes, self.pixels.nbytes + _FRAME_BYTES)

    @property
    def n_bytes(self) -> int:
        """Memory of the pixels and, once it is encoded, of the message."""
        return self.pixels.nbytes + len(self.__dict__.get("message", b""))

    @cached_property
    def maximum(self) -> int:
        """The largest pixel, at least 0."""
        return max(0, int(np.max(self.pixels, initial=0)))

    @cached_property
    def is_zero(self) -> bool:
        """Whether all pixels are 0: real boards send such images."""
        return not self.pixels.any()
