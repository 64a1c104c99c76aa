"""MessageHub: takes the messages of the receiver, and hands each to the clients that want it."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator

import grpc

from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telescope.ubx.message import UbxMessage
from std_ublox_control.patterns import Patterns


class MessageStream:
    """One client that is being sent messages.

    Parameters
    ----------
    peer
        Where the client is.
    patterns
        What it wants.
    max_queue
        Messages that may wait; of more the oldest is dropped.
    """

    def __init__(self, peer: str, patterns: Patterns, max_queue: int) -> None:
        self.peer = peer
        self._patterns = patterns
        self._queue: deque[UbxMessage] = deque()
        self._max_queue = max_queue
        self._has_news = asyncio.Event()
        self.ended: asyncio.Future[RefusedCallError] = asyncio.get_running_loop().create_future()
        self.n_sent = 0
        self.n_dropped = 0

    def offer(self, message: UbxMessage) -> None:
        """Consider a message that has come."""
        if not self._patterns.matches(message.identity):
            return
        if len(self._queue) == self._max_queue:
            self._queue.popleft()
            self.n_dropped += 1
        self._queue.append(message)
        self._has_news.set()

    async def next(self) -> UbxMessage:
        """Return the next message to send."""
        while not self._queue:
            self._has_news.clear()
            await self._has_news.wait()
        return self._queue.popleft()

    def end(self, code: grpc.StatusCode, text: str) -> None:
        """End the stream with a status; the first one counts."""
        if not self.ended.done():
            self.ended.set_result(RefusedCallError(code, text))


class MessageHub:
    """The newest message of each kind, and the clients.

    Parameters
    ----------
    max_streams
        How many clients there may be at once.
    """

    def __init__(self, max_streams: int) -> None:
        self._max_streams = max_streams
        self._streams: set[MessageStream] = set()
        self._newest: dict[str, UbxMessage] = {}
        self._n_sent_before = 0
        self._n_dropped_before = 0
        self._n_messages = 0
        self.counts: Counter[str] = Counter()
        self.is_open = False

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[MessageStream]:
        return iter(sorted(self._streams, key=lambda stream: stream.peer))

    @property
    def n_sent(self) -> int:
        """Messages that clients were sent."""
        return self._n_sent_before + sum(stream.n_sent for stream in self._streams)

    @property
    def n_dropped(self) -> int:
        """Messages that clients were not sent, because they are slow."""
        return self._n_dropped_before + sum(stream.n_dropped for stream in self._streams)

    def newest(self, identity: str) -> UbxMessage | None:
        """Return the newest message of a kind."""
        return self._newest.get(identity)

    def publish(self, raw: bytes, time_ns: int) -> UbxMessage:
        """Take a message; clients are sent it if the receiver has been initialised."""
        self._n_messages += 1
        message = UbxMessage(raw, time_ns, self._n_messages)
        self.counts[message.identity] += 1
        if self.is_open:
            self._newest[message.identity] = message
            for stream in self._streams:
                stream.offer(message)
        return message

    def open(self) -> None:
        """Begin anew: the receiver has been initialised."""
        self._newest.clear()
        self.is_open = True

    def close(self, code: grpc.StatusCode, text: Callable[[MessageStream], str]) -> None:
        """End all streams: the receiver is not read any more."""
        self.is_open = False
        for stream in self._streams:
            stream.end(code, text(stream))

    def join(self, stream: MessageStream) -> None:
        """Admit a client, which first gets the newest of each kind; raises RefusedCallError if there are too many."""
        if len(self._streams) >= self._max_streams:
            raise RefusedCallError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"Max clients ({self._max_streams}) reached.")
        self._streams.add(stream)
        for message in sorted(self._newest.values(), key=lambda message: message.number):
            stream.offer(message)

    def leave(self, stream: MessageStream) -> None:
        """Forget a client, and add what it was sent to the sums."""
        self._streams.discard(stream)
        self._n_sent_before += stream.n_sent
        self._n_dropped_before += stream.n_dropped
