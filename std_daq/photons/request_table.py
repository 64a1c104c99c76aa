"""RequestTable: the requests that wait or are being simulated, and the replies that are still known.

A client that has no reply after a while sends its request again, over another connection. The table recognises it by
its bytes, so that no event is simulated twice, and the reply goes to the connection that came last.
"""

from dataclasses import dataclass, field
from typing import Any

from std_daq.photons.fair_queue import FairQueue
from std_daq.photons.known_replies import KnownReplies
from std_daq.photons.protocol import NO_WORKERS, Frames


@dataclass(slots=True, eq=False)
class OpenRequest:
    """A request that has no reply yet.

    Parameters
    ----------
    digest
        What tells it from other requests (`std_daq.photons.protocol.digest_of`).
    frames
        Its frames, as whoever passes them on holds them.
    n_photons
        Number of photons.
    event_id
        Number of the event; None where it is about no event.
    clients
        Identities of the connections that get the reply.
    n_deaths
        Number of workers that died while they had it.
    """

    digest: bytes
    frames: Any
    n_photons: int
    event_id: int | None
    clients: list[bytes] = field(default_factory=list)
    n_deaths: int = 0


class RequestTable:
    """The requests that have no reply yet, and the replies that were sent.

    Parameters
    ----------
    max_waiting
        One more request that waits is refused.
    replies
        Where replies are kept.
    """

    def __init__(self, max_waiting: int, replies: KnownReplies | None = None) -> None:
        self._max_waiting = max_waiting
        self.replies = KnownReplies() if replies is None else replies
        self._open: dict[bytes, OpenRequest] = {}
        self._waiting: FairQueue[OpenRequest] = FairQueue()
        self.n_refused = 0
        self.n_resent = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def n_waiting(self) -> int:
        """Number of requests that nobody simulates yet."""
        return len(self._waiting)

    def take_in(self, client: bytes, request: OpenRequest, *, is_for_all: bool = False) -> Frames | None:
        """Take in a request; returns the reply that it gets at once, or None if it gets one later.

        Parameters
        ----------
        client
            Identity of the connection that it came over.
        request
            The request, without clients.
        is_for_all
            Whether every connection that sent this request gets the reply, not only the last one.
        """
        known = self.replies.get(request.digest)
        if known is not None:
            self.n_resent += 1
            return known
        same = self._open.get(request.digest)
        if same is not None:
            self.n_resent += 1
            others = [one for one in same.clients if one != client] if is_for_all else []
            same.clients = [*others, client]
            return None
        if self.n_waiting >= self._max_waiting:
            self.n_refused += 1
            return [NO_WORKERS]
        request.clients = [client]
        self._open[request.digest] = request
        self._waiting.put(client, request)
        return None

    def is_open(self, digest: bytes) -> bool:
        """Return whether a request has no reply yet."""
        return digest in self._open

    def next(self) -> OpenRequest | None:
        """Return the request that is to be simulated next, and leave it where it is; None if none waits."""
        while self._waiting and not self.is_open(self._waiting.peek().digest):
            self._waiting.take()  # its reply came from a worker that had been given up
        return self._waiting.peek() if self._waiting else None

    def start(self) -> OpenRequest:
        """Take the request that is to be simulated next from those that wait."""
        return self._waiting.take()

    def put_back(self, request: OpenRequest) -> None:
        """Let a request wait again, ahead of the others."""
        if request.digest in self._open:
            self._waiting.put_back(request)

    def finish(self, digest: bytes) -> list[bytes]:
        """Forget a request that has its reply; returns the connections that get it, none if it had one already."""
        request = self._open.pop(digest, None)
        return [] if request is None else request.clients
