"""KnownReplies: replies that were sent, for clients that send their request again."""

from collections import OrderedDict
from itertools import accumulate, pairwise
from typing import NamedTuple

from std_daq.photons.protocol import Frames

KEPT_S = 35.0
KEPT_BYTES = 256 << 20
# What a reply and each of its frames take beside their bytes: many short replies take more than their length.
_REPLY_BYTES = 512
_FRAME_BYTES = 40


class KeptReply(NamedTuple):
    """A reply, as one piece of bytes: ten short frames would take many times their length.

    Parameters
    ----------
    came_s
        When it came, in seconds of the clock of its owner.
    body
        Its frames, one behind the other.
    ends
        Where each frame ends.
    """

    came_s: float
    body: bytes
    ends: tuple[int, ...]

    @property
    def memory(self) -> int:
        """About how much memory it takes, in bytes."""
        return _REPLY_BYTES + len(self.body) + _FRAME_BYTES * len(self.ends)

    def frames(self) -> list[bytes]:
        """Return its frames."""
        return [self.body[begin:end] for begin, end in pairwise((0, *self.ends))]


class KnownReplies:
    """Keeps each reply for a while; the oldest go first when they are too many bytes.

    Parameters
    ----------
    kept_s
        How long a reply is kept, in seconds.
    kept_bytes
        How many bytes of memory the replies that are kept take.

    Attributes
    ----------
    newest
        The reply that came last; None before the first. It is replaced as a whole, so any thread may look at it.
    """

    def __init__(self, kept_s: float = KEPT_S, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_s = kept_s
        self._kept_bytes = kept_bytes
        self._replies: OrderedDict[bytes, KeptReply] = OrderedDict()
        self.n_bytes = 0
        self.newest: KeptReply | None = None

    def __len__(self) -> int:
        return len(self._replies)

    def add(self, digest: bytes, reply: Frames, now_s: float) -> None:
        """Keep the reply to a request; the first reply to a request stays."""
        if digest in self._replies:
            return
        body = b"".join(reply)
        self.newest = self._replies[digest] = KeptReply(now_s, body, tuple(accumulate(map(len, reply))))
        self.n_bytes += self.newest.memory
        while self.n_bytes > self._kept_bytes:
            self._drop_oldest()

    def get(self, digest: bytes) -> list[bytes] | None:
        """Return the reply to a request, or None if it is not known."""
        known = self._replies.get(digest)
        return None if known is None else known.frames()

    def forget_old(self, now_s: float) -> None:
        """Drop replies that have been kept long enough."""
        while self._replies and now_s - next(iter(self._replies.values())).came_s > self._kept_s:
            self._drop_oldest()

    def clear(self) -> None:
        """Drop all replies."""
        self._replies.clear()
        self.n_bytes = 0
        self.newest = None

    def _drop_oldest(self) -> None:
        _, dropped = self._replies.popitem(last=False)
        self.n_bytes -= dropped.memory
