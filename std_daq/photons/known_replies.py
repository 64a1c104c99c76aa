"""KnownReplies: replies that were sent, for clients that send their request again."""

from collections import OrderedDict
from itertools import accumulate, pairwise

from std_daq.photons.protocol import Frames

KEPT_S = 35.0
KEPT_BYTES = 256 << 20


class KnownReplies:
    """Keeps each reply for a while; the oldest go first when they are too many bytes.

    Parameters
    ----------
    kept_s
        How long a reply is kept, in seconds.
    kept_bytes
        How many bytes of replies are kept.
    """

    def __init__(self, kept_s: float = KEPT_S, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_s = kept_s
        self._kept_bytes = kept_bytes
        # As one piece of bytes and the ends of its frames: ten short frames would take many times their length.
        self._replies: OrderedDict[bytes, tuple[float, bytes, tuple[int, ...]]] = OrderedDict()
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._replies)

    def add(self, digest: bytes, reply: Frames, now_s: float) -> None:
        """Keep the reply to a request; the first reply to a request stays."""
        if digest in self._replies:
            return
        body = b"".join(reply)
        self._replies[digest] = (now_s, body, tuple(accumulate(map(len, reply))))
        self.n_bytes += len(body)
        while self.n_bytes > self._kept_bytes:
            self._drop_oldest()

    def get(self, digest: bytes) -> list[bytes] | None:
        """Return the reply to a request, or None if it is not known."""
        known = self._replies.get(digest)
        if known is None:
            return None
        _, body, ends = known
        return [body[begin:end] for begin, end in pairwise((0, *ends))]

    def forget_old(self, now_s: float) -> None:
        """Drop replies that have been kept long enough."""
        while self._replies and now_s - next(iter(self._replies.values()))[0] > self._kept_s:
            self._drop_oldest()

    def clear(self) -> None:
        """Drop all replies."""
        self._replies.clear()
        self.n_bytes = 0

    def _drop_oldest(self) -> None:
        _, (_, body, _) = self._replies.popitem(last=False)
        self.n_bytes -= len(body)
