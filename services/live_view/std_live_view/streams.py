"""Streams: the clients that are being sent images."""

import asyncio
from collections.abc import Callable, Iterator

import grpc

from std_daq.grpc_server.refused_call import RefusedCallError
from std_live_view.live_frame import LiveFrame
from std_live_view.selection import Selection


class Stream:
    """One client that is being sent images.

    Parameters
    ----------
    peer
        Where the client is.
    selection
        Chooses its frames.
    wants_notices
        Whether it takes answers without an image.

    Attributes
    ----------
    source_problems
        What is wrong with the sources, as fields of an answer.
    """

    def __init__(self, peer: str, selection: Selection, *, wants_notices: bool = False) -> None:
        self.peer = peer
        self.selection = selection
        self._has_news = asyncio.Event()
        self._has_notice = False
        self.wants_notices = wants_notices
        self.source_problems = b""
        self.ended: asyncio.Future[RefusedCallError] = asyncio.get_running_loop().create_future()

    def offer(self, frame: LiveFrame, now_s: float) -> None:
        """Consider a frame that has come."""
        if self.selection.offer(frame, now_s):
            self._has_news.set()

    def tell(self, source_problems: bytes) -> None:
        """Tell what is wrong with the sources: with the next image or, where that is wanted, at once."""
        self.source_problems = source_problems
        if self.wants_notices:
            self._has_notice = True
            self._has_news.set()

    async def next(self) -> LiveFrame | None:
        """Return the next frame to send, when it is due; None for a notice without an image."""
        loop = asyncio.get_running_loop()
        while (frame := self.selection.take(loop.time())) is None:
            if self._has_notice:
                self._has_notice = False
                return None
            self._has_news.clear()
            due_s = self.selection.due_s
            timer = None if due_s is None else loop.call_at(due_s, self._has_news.set)
            try:
                await self._has_news.wait()
            finally:
                if timer is not None:
                    timer.cancel()
        return frame

    def end(self, code: grpc.StatusCode, text: str) -> None:
        """End the stream with a status; the first one counts."""
        if not self.ended.done():
            self.ended.set_result(RefusedCallError(code, text))


class Streams:
    """All clients that are being sent images.

    Parameters
    ----------
    max_streams
        How many there may be at once.
    """

    def __init__(self, max_streams: int) -> None:
        self._max_streams = max_streams
        self._streams: set[Stream] = set()
        self._source_problems = b""
        self.n_sent = 0
        self.n_by_interval = 0
        self.n_by_slow_client = 0

    def __iter__(self) -> Iterator[Stream]:
        return iter(sorted(self._streams, key=lambda stream: stream.peer))

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, stream: Stream) -> None:
        """Admit a client; raises RefusedCallError if there are too many."""
        if len(self._streams) >= self._max_streams:
            raise RefusedCallError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"Max clients ({self._max_streams}) reached.")
        self._streams.add(stream)
        if self._source_problems:
            stream.tell(self._source_problems)

    def remove(self, stream: Stream) -> None:
        """Forget a client, and add what it was sent to the sums."""
        self._streams.discard(stream)
        self.n_sent += stream.selection.n_sent
        self.n_by_interval += stream.selection.n_by_interval
        self.n_by_slow_client += stream.selection.n_by_slow_client

    def tell(self, source_problems: bytes) -> None:
        """Tell all clients, and those who come later, what is wrong with the sources."""
        self._source_problems = source_problems
        for stream in self._streams:
            stream.tell(source_problems)

    def end_all(self, text: Callable[[Stream], str]) -> None:
        """End all streams with CANCELLED."""
        for stream in self._streams:
            stream.end(grpc.StatusCode.CANCELLED, text(stream))
