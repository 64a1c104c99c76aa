"""The keys that are open, in order: what the `Synchroniser` delivers when, whoever decides which keys go on."""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop
from typing import Generic, Literal, NamedTuple, TypeVar

SILENT_AFTER = 3
"""Number of keys, at least a time limit apart, that are given up without a source before the source is silent."""

EPOCH_BITS = 64
NEVER = -(1 << EPOCH_BITS)
KEY_MASK = (1 << EPOCH_BITS) - 1

T = TypeVar("T")

Refusal = Literal["late", "duplicate", "odd"]
RefusalHook = Callable[[Refusal, int, int, T], None]
"""Called for a piece that is not used, with the reason, the source, the key and the payload."""


class Synchronised(NamedTuple, Generic[T]):  # creating a frozen dataclass takes four times as long
    """The pieces of one key.

    Attributes
    ----------
    key
        The key, as it was passed to `Synchroniser.feed`.
    payloads
        The payload of each source, in the order of the sources; ``None`` for a source whose piece is missing.
    missing
        Numbers of the sources whose pieces are missing, ascending; empty if the key is complete.
    epoch
        How often the keys had jumped back before this key; 0 at the start.
    """

    key: int
    payloads: list[T | None]
    missing: tuple[int, ...]
    epoch: int


@dataclass(slots=True)
class SynchroniserCounters:
    """Counts of what happened to the pieces and keys.

    Each piece is counted exactly once: pieces fed = pieces delivered + late + duplicate + odd + pieces still
    open or held.

    Attributes
    ----------
    complete, incomplete
        Keys delivered with the pieces of all sources; keys delivered with pieces missing.
    timed_out, crowded_out
        Keys given up while they waited for a piece or a lower key: because of the time limit; because more than
        ``window`` keys were open.
    missing
        Pieces that are missing in incomplete keys, by source.
    late
        Pieces whose key had already been delivered, by source.
    duplicate
        Pieces for which the open key already had a piece of the same source, by source; the first one is kept.
    odd
        Pieces of odd sources: their keys jumped, and those of most other sources did not.
    epochs
        How often the keys jumped back.
    """

    missing: list[int]
    late: list[int]
    duplicate: list[int]
    odd: list[int]
    complete: int = 0
    incomplete: int = 0
    timed_out: int = 0
    crowded_out: int = 0
    epochs: int = 0


class OpenKey(Generic[T]):
    """A key that is not delivered yet; in ``missing``, bit ``1 << source`` is set if that source's piece is missing."""

    __slots__ = ("first_ns", "missing", "payloads")

    def __init__(self, payloads: list[T | None], missing: int, first_ns: int) -> None:
        self.payloads = payloads
        self.missing = missing
        self.first_ns = first_ns


class OrderedKeys(Generic[T]):
    """Open keys and their pieces, which it delivers in order. For the parameters see `Synchroniser`."""

    def __init__(
        self,
        n_sources: int,
        *,
        window: int,
        time_limit_ns: int,
        consecutive: bool,
        on_refused: RefusalHook[T] | None,
    ) -> None:
        if n_sources < 1 or window < 1 or time_limit_ns < 1:
            raise ValueError(f"{n_sources=}, {window=} and {time_limit_ns=} must be at least 1")
        self.counters = SynchroniserCounters([0] * n_sources, [0] * n_sources, [0] * n_sources, [0] * n_sources)
        self._n_sources = n_sources
        self._window = window
        self._time_limit_ns = time_limit_ns
        self._consecutive = consecutive
        self._on_refused = on_refused
        self._all = (1 << n_sources) - 1
        self._bits = [1 << source for source in range(n_sources)]
        self._open: dict[int, OpenKey[T]] = {}  # by place, in the order of the first pieces
        self._order: list[int] = []  # the same places, as a heap
        self._delivered = -1  # the highest place delivered
        self._highest = -1  # the highest place opened
        self._epoch_of = [0] * n_sources  # each epoch as the place of its key 0
        self._newest_epoch = 0
        self._apart = 0  # sources of all proposals
        self._silent = 0
        self._awaited = self._all  # those that are neither apart nor silent
        self._n_missed = [0] * n_sources  # keys given up without the source since its last piece
        self._missed_ns = [0] * n_sources  # time of the first piece of the key that was counted last

    @property
    def silent(self) -> tuple[int, ...]:
        """Numbers of the silent sources, which are not awaited at present."""
        return sources_of(self._silent)

    def _set_apart(self, sources: int) -> None:
        self._apart = sources
        self._awaited = self._all & ~(self._silent | sources)

    def _refuse(self, reason: Refusal, source: int, key: int, payload: T) -> None:
        refused: list[int] = getattr(self.counters, reason)
        refused[source] += 1
        if self._on_refused is not None:
            self._on_refused(reason, source, key, payload)

    def _deliver_ready_and_crowded(self) -> list[Synchronised[T]]:
        """Remove and return the keys that need not wait, and those for which there is no room."""
        results = self._deliver_ready()
        while len(self._open) > self._window:
            self.counters.crowded_out += 1
            results.append(self._give_up_lowest())
            results += self._deliver_ready()
        return results

    def _awaited_for(self, place: int) -> int:
        """Return the bits of the sources whose pieces of an open key may still come."""
        awaited = self._open[place].missing & self._awaited
        if awaited and place < self._newest_epoch:
            for source, epoch in enumerate(self._epoch_of):
                if epoch > place:
                    awaited &= ~(1 << source)
        return awaited

    def _has_to_wait(self, place: int) -> bool:
        """Return whether this key, the lowest one, has to wait for a piece or for the key before it."""
        if self._awaited_for(place):
            return True
        if not self._consecutive or place == self._delivered + 1:
            return False
        return place >> EPOCH_BITS == self._delivered >> EPOCH_BITS

    def _deliver_ready(self) -> list[Synchronised[T]]:
        """Remove and return, from the lowest key on, the keys that need not wait."""
        results = []
        order = self._order
        while order and not self._has_to_wait(order[0]):
            results.append(self._deliver_lowest())
        return results

    def _give_up_lowest(self) -> Synchronised[T]:
        """Remove and return the lowest key, and count it as missed by the sources that it waited for."""
        place = self._order[0]
        first_ns = self._open[place].first_ns
        for source in sources_of(self._awaited_for(place)):
            if not self._n_missed[source] or first_ns - self._missed_ns[source] >= self._time_limit_ns:
                self._n_missed[source] += 1
                self._missed_ns[source] = first_ns
                if self._n_missed[source] == SILENT_AFTER:
                    self._silent |= 1 << source
                    self._awaited &= ~(1 << source)
        return self._deliver_lowest()

    def _deliver_lowest(self) -> Synchronised[T]:
        """Remove and return the lowest key."""
        place = heappop(self._order)
        pieces = self._open.pop(place)
        self._delivered = place
        missing: tuple[int, ...] = ()
        if pieces.missing:
            missing = sources_of(pieces.missing)
            self.counters.incomplete += 1
            for source in missing:
                self.counters.missing[source] += 1
        else:
            self.counters.complete += 1
        return Synchronised(place & KEY_MASK, pieces.payloads, missing, place >> EPOCH_BITS)


def sources_of(bits: int) -> tuple[int, ...]:
    """Return the numbers of the sources whose bits are set, ascending."""
    sources = []
    while bits:
        sources.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return tuple(sources)
