"""SocketFrames: finds the frames in what an acquisition writes into a socket, also after it has lost bytes. Pure.

An acquisition writes, for each frame, two bytes with the number of the module and then the frame as in a file. When the
socket is full, it may write only the beginning of a frame and go on with the next one. Then the pixels of the frame
that was cut contain the beginning of the next one. Such a frame is not delivered.
"""

from collections.abc import Iterator
from typing import NamedTuple

from std_daq.telescope.pff.header import MAX_HEADER_BYTES, Header, check_header, parse_header
from std_daq.telescope.pff.layout import FrameLayout, learn_layout
from std_daq.telescope.pff.product import Product

_MODULE_BYTES = 2
_START_BYTES = 9  # as in b'{ "quabo_' or b'{\n "quabo', which all headers of a connection have in common
# So much of a header's beginning at the end of the pixels makes them wait for what follows.
_SUSPECT_BYTES = 3


class SocketFrame(NamedTuple):
    """A frame that came over a socket."""

    module_id: int
    header: Header
    pixels: bytes


class SocketFrames:
    """Finds the frames in the bytes of one connection.

    Parameters
    ----------
    product
        The product of the socket.

    Attributes
    ----------
    n_cut
        Places at which the stream had lost bytes, and was found again.
    n_lost_bytes
        Bytes that belong to no whole frame.
    """

    def __init__(self, product: Product) -> None:
        self._product = product
        self._buffer = bytearray()
        self._layout: FrameLayout | None = None
        self._start = b""
        self._is_searching = False
        self.n_cut = 0
        self.n_lost_bytes = 0

    def feed(self, data: bytes) -> Iterator[SocketFrame]:
        """Take bytes, and yield the frames that are whole.

        Raises
        ------
        ValueError
            The first bytes of the connection are no frame.
        """
        self._buffer += data
        if self._layout is None and not self._learn():
            return
        while (frame := self._next()) is not None:
            yield frame

    def _learn(self) -> bool:
        start = bytes(self._buffer[_MODULE_BYTES : _MODULE_BYTES + MAX_HEADER_BYTES])
        self._layout = learn_layout(start, self._product)
        self._start = start[:_START_BYTES]
        return self._layout is not None

    def _next(self) -> SocketFrame | None:
        layout = self._layout
        assert layout is not None, "called when the layout is known"  # noqa: S101
        n_bytes = _MODULE_BYTES + layout.frame_bytes
        while len(self._buffer) >= n_bytes:
            frame = self._frame(layout)
            if frame is None or self._is_cut(n_bytes):
                self._find_next()
                continue
            if self._may_be_cut(frame.pixels, n_bytes):
                return None
            del self._buffer[:n_bytes]
            return frame
        return None

    def _frame(self, layout: FrameLayout) -> SocketFrame | None:
        """Return the first frame of the buffer; None if its header is damaged, or its pixels contain another."""
        at = _MODULE_BYTES + layout.pixel_offset
        text = bytes(self._buffer[_MODULE_BYTES:at])
        pixels = bytes(self._buffer[at : _MODULE_BYTES + layout.frame_bytes])
        if not layout.has_frame_at(text, 0) or self._start in pixels:
            return None
        try:
            header = parse_header(text[: layout.header_bytes])
            check_header(header, self._product)
        except ValueError:
            return None
        return SocketFrame(int.from_bytes(self._buffer[:_MODULE_BYTES], "big"), header, pixels)

    def _is_cut(self, n_bytes: int) -> bool:
        """Return whether the next header begins so early that the frame lacks its last bytes."""
        found = self._buffer.find(self._start, n_bytes - _START_BYTES, n_bytes + _MODULE_BYTES + _START_BYTES)
        return 0 <= found < n_bytes + _MODULE_BYTES

    def _may_be_cut(self, pixels: bytes, n_bytes: int) -> bool:
        """Return whether only bytes that have not come yet can tell whether the frame is cut."""
        n_following = len(self._buffer) - n_bytes
        if n_following:
            return n_following < _MODULE_BYTES + _START_BYTES
        return any(pixels.endswith(self._start[:n]) for n in range(_SUSPECT_BYTES, _START_BYTES))

    def _find_next(self) -> None:
        """Remove what stands before the next header."""
        found = self._buffer.find(self._start, _MODULE_BYTES + 1)
        # Without one, the end may still be the beginning of a header, with a module before it.
        n_lost = max(1, found - _MODULE_BYTES if found >= 0 else len(self._buffer) - _MODULE_BYTES - _START_BYTES)
        self.n_cut += not self._is_searching
        self._is_searching = found < 0
        del self._buffer[:n_lost]
        self.n_lost_bytes += n_lost
