"""Proposal: keys of some sources that do not continue the keys of the others, until it is known who is right.

Example: the frame numbers of one module jump from 119 to 5000. Nobody can tell from its first frame whether this module
is the odd one, or the first of all modules to jump. So its pieces are held in a proposal. If most sources join the
proposal, its keys become everybody's keys. Otherwise its pieces are refused, and its sources are *odd*.
"""

from typing import Generic, TypeVar

from std_daq.sync.ordered_keys import OpenKey

T = TypeVar("T")


class Proposal(Generic[T]):
    """Keys that some sources propose, and their pieces.

    Attributes
    ----------
    sources
        Bits of the sources that propose the keys.
    is_ahead
        Whether the keys are above those of the other sources, which may still come to them.
    is_restart
        Whether the keys of one of the sources jumped back.
    is_rejected
        Whether the sources were found to be odd.
    left
        The highest place that one of the sources had brought before it left the others.
    low, high
        The lowest and the highest key.
    seen_ns
        Time of the last piece.
    held
        Keys whose pieces are held, in the order of their first pieces.
    """

    __slots__ = ("held", "high", "is_ahead", "is_rejected", "is_restart", "left", "low", "seen_ns", "sources")

    def __init__(self, key: int, *, is_ahead: bool) -> None:
        self.sources = 0
        self.is_ahead = is_ahead
        self.is_restart = False
        self.is_rejected = False
        self.left = -1
        self.low = self.high = key
        self.seen_ns = 0
        self.held: dict[int, OpenKey[T]] = {}

    @property
    def n_sources(self) -> int:
        """Number of sources that propose the keys."""
        return self.sources.bit_count()

    @property
    def oldest_ns(self) -> int:
        """Time of the first piece that is held."""
        return next(iter(self.held.values())).first_ns

    def is_continued_by(self, key: int, window: int) -> bool:
        """Return whether a key of one of the sources belongs to the proposal: it is near the others."""
        return self.low - window <= key <= self.high + window

    def may_be_joined_by(self, key: int, bit: int, window: int, now_ns: int, lag_ns: int) -> bool:
        """Return whether another source whose keys have jumped as well may mean the same keys.

        A key that is no higher than those of the proposal may belong to the next of several short series, which have
        the same keys. So it joins only the pieces that have come at most ``lag_ns`` before or after it.
        """
        if not self.is_continued_by(key, window):
            return False
        pieces = self.held.get(key)
        if pieces is not None:
            return bool(pieces.missing & bit) and abs(pieces.first_ns - now_ns) <= lag_ns
        return key > self.high or abs(self.seen_ns - now_ns) <= lag_ns

    def add(self, key: int, source: int, payload: T, n_sources: int, now_ns: int) -> bool:
        """Hold a piece; return False if the proposal already has this piece of the source."""
        bit = 1 << source
        pieces = self.held.get(key)
        if pieces is None:
            pieces = self.held[key] = OpenKey([None] * n_sources, (1 << n_sources) - 1, now_ns)
        elif not pieces.missing & bit:
            return False
        pieces.payloads[source] = payload
        pieces.missing ^= bit
        self.sources |= bit
        self.low = min(self.low, key)
        self.high = max(self.high, key)
        self.seen_ns = now_ns
        return True
