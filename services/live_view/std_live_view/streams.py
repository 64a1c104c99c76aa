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
    """

    def __init__(self, peer: str, selection: Selection) -> None:
        self.peer = peer
        self.selection = selection
        self._has_news = asyncio.Event()
        self.ended: asyncio.Future[RefusedCallError] = asyncio.get_running_loop().create_future()

    def offer(self, frame: LiveFrame, now_s: float) -> None:
        """Consider a frame that has come."""
        if self.selection.offer(frame, now_s):
            self._has_news.set()

    async def next(self) -> LiveFrame:
        """Return the next frame to send, when it is due."""
        loop = asyncio.get_running_loop()
        while (frame := self.selection.take(loop.time())) is None:
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

    def remove(self, stream: Stream) -> None:
        """Forget a client, and add what it was sent to the sums."""
        self._streams.discard(stream)
        self.n_sent += stream.selection.n_sent
        self.n_by_interval += stream.selection.n_by_interval
        self.n_by_slow_client += stream.selection.n_by_slow_client

    def end_all(self, text: Callable[[Stream], str]) -> None:
        """End all streams with CANCELLED."""
        for stream in self._streams:
            stream.end(grpc.StatusCode.CANCELLED, text(stream))
