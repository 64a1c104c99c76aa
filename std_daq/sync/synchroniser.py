"""Bring together the pieces of one key that several sources deliver.

A source delivers pieces, each of one key (a frame number or an image id), as a rule in ascending order. A
key is *open* from its first piece until it is delivered. It is delivered as soon as every source that is
awaited has brought its piece and no lower key is open. Otherwise it is *given up*, that is, delivered
without the pieces that are missing: the lowest key when more than ``window`` keys are open, and each key
``time_limit_ns`` after its first piece, along with the lower keys, which have to go before it.

*Epochs.* A detector that restarts begins again with low keys, and its modules do not do so at the same
moment. A source that jumps back opens a new epoch, or joins the newest one if it was in an older one. Keys
are ordered by epoch first: a *place* is ``epoch << 64 | key``, one integer that compares, hashes and sorts,
so that hardly anything below has to know about epochs. A source that has gone over to a newer epoch is not
awaited in the older ones. A source that was off while the others restarted never jumps back: it joins the
newest epoch with the first key that fits there (not yet delivered, at most ``window`` above the highest) and
is not open in its own. After the first delivery from an epoch all pieces of older ones are late.

*Silence.* A dead source would make every key wait for the whole time limit. So a source is no longer awaited
once `SILENT_AFTER` keys, their first pieces at least the time limit apart, had to be given up without it
while nothing at all was heard of it. Any piece, a late one too, makes it awaited again. A source that lags
by less than the time limit is thus never left behind, and one that pauses for little more loses only what
was due.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from operator import index
from typing import Generic, Literal, NamedTuple, TypeVar

SILENT_AFTER = 3
"""Keys given up without a source, a time limit apart, after which it is no longer awaited."""

_EPOCH_BITS = 64
_KEY_MASK = (1 << _EPOCH_BITS) - 1

T = TypeVar("T")

RefusalHook = Callable[[Literal["late", "duplicate"], int, int, T], None]
"""Called with the reason, the source, the key and the payload of a piece that is not used."""


class Synchronised(NamedTuple, Generic[T]):  # a frozen dataclass takes four times as long to make
    """The pieces of one key.

    Attributes
    ----------
    key
        The key, as it was fed.
    payloads
        What each source brought, in the order of the sources; ``None`` where it brought nothing.
    missing
        The sources that brought nothing, ascending; empty if the key is complete.
    epoch
        How often the keys had jumped back before this one; starts at 0.
    """

    key: int
    payloads: list[T | None]
    missing: tuple[int, ...]
    epoch: int


@dataclass(slots=True)
class SynchroniserCounters:
    """What became of the pieces and keys.

    Every piece is in exactly one place: pieces fed = pieces delivered + late + duplicate + pieces still open.

    Attributes
    ----------
    complete, incomplete
        Keys delivered with the pieces of all sources; keys delivered without some.
    timed_out, crowded_out
        Keys given up while something was awaited: at a time limit; because too many keys were open.
    missing
        Pieces that are missing in incomplete keys, by source.
    late
        Pieces whose key was already delivered, by source.
    duplicate
        Pieces of which the open key already had one, by source; the first is kept.
    epochs
        How often the keys jumped back.
    """

    missing: list[int]
    late: list[int]
    duplicate: list[int]
    complete: int = 0
    incomplete: int = 0
    timed_out: int = 0
    crowded_out: int = 0
    epochs: int = 0


class _OpenKey(Generic[T]):
    """A key that is not delivered yet; ``missing`` has the bit ``1 << source`` for each missing piece."""

    __slots__ = ("first_ns", "missing", "payloads")

    def __init__(self, payloads: list[T | None], missing: int, first_ns: int) -> None:
        self.payloads = payloads
        self.missing = missing
        self.first_ns = first_ns


class Synchroniser(Generic[T]):
    """Bring together what several sources deliver for one key; delivers in ascending order.

    Pure: no threads, no clock. Within an epoch keys are delivered in ascending order, each once, and epochs
    one after the other. A key of which no piece was fed is never delivered.

    Parameters
    ----------
    n_sources
        How many sources there are; they are numbered from 0.
    window
        How many keys may be open at a time, the complete ones that wait for lower keys included. No more than
        that is ever held.
    time_limit_ns
        How long after its first piece a key is delivered at the latest, in nanoseconds.
    consecutive
        Keys count up by one, and sources may deliver them out of order, as one does that has two links which
        carry alternate keys: a key waits for the one before it, even if nothing of that has come yet. Without
        it, pieces are late if their key was first fed after a higher one was complete.
    on_refused
        Called for each late or duplicate piece; they are counted with or without it.
    """

    def __init__(
        self,
        n_sources: int,
        *,
        window: int,
        time_limit_ns: int,
        consecutive: bool = False,
        on_refused: RefusalHook[T] | None = None,
    ) -> None:
        if n_sources < 1 or window < 1 or time_limit_ns < 1:
            raise ValueError(f"{n_sources=}, {window=} and {time_limit_ns=} have to be at least 1")
        self.counters = SynchroniserCounters([0] * n_sources, [0] * n_sources, [0] * n_sources)
        self._n_sources = n_sources
        self._window = window
        self._time_limit_ns = time_limit_ns
        self._consecutive = consecutive
        self._on_refused = on_refused
        self._all = (1 << n_sources) - 1
        self._bits = [1 << source for source in range(n_sources)]
        self._open: dict[int, _OpenKey[T]] = {}  # by place, in the order of the first pieces
        self._order: list[int] = []  # the same places as a heap
        self._delivered = -1  # the highest place delivered
        self._highest = -1  # the highest place opened
        self._epoch_of = [0] * n_sources  # as places: the epoch's key 0
        self._newest_epoch = 0
        self._awaited = self._all
        self._n_missed = [0] * n_sources  # since the source was last heard
        self._missed_ns = [0] * n_sources  # first piece of the key that was counted last

    def __len__(self) -> int:
        """Return how many keys are open."""
        return len(self._open)

    @property
    def silent(self) -> tuple[int, ...]:
        """The sources that are not awaited at present, because nothing is heard of them."""
        return _sources(self._all ^ self._awaited)

    def feed(
        self, source: int, key: int, payload: T, now_ns: int, restarted: bool = False
    ) -> Sequence[Synchronised[T]]:
        """Take one piece; return what can be delivered now.

        Parameters
        ----------
        source
            Number of the source.
        key
            From 0 to 2**64 - 1.
        payload
            What is handed on.
        now_ns
            Monotonic time in nanoseconds, from the same clock as for `poll`.
        restarted
            This is the first piece of the source after its keys jumped back.
        """
        key = index(key)  # a numpy integer would overflow in the second epoch
        place = self._epoch_of[source] + key
        moved = restarted or self._epoch_of[source] != self._newest_epoch
        if moved:
            place = self._choose_epoch(source, key, restarted) + key
        bit = self._bits[source]
        if self._n_missed[source]:
            self._n_missed[source] = 0
            self._awaited |= bit
        pieces = self._open.get(place)
        if pieces is None:
            if place > self._delivered:
                return self._open_key(source, place, payload, now_ns, moved)
            self._refuse("late", source, key, payload)
            return ()
        missing = pieces.missing
        if not missing & bit:
            self._refuse("duplicate", source, key, payload)
            return ()
        pieces.payloads[source] = payload
        pieces.missing = missing = missing ^ bit
        if not moved and (missing & self._awaited or place != self._order[0]):
            return ()  # the lowest key had to wait before, and waits for the same now
        return self._release()

    def poll(self, now_ns: int) -> Sequence[Synchronised[T]]:
        """Return what has reached its time limit, and what waited for it.

        Feed first what has already arrived, so that nothing is given up that lies in a queue.
        """
        due = -1
        for place, pieces in self._open.items():
            if now_ns - pieces.first_ns < self._time_limit_ns:
                break
            due = max(due, place)
        results = []
        while self._order and self._order[0] <= due:
            self.counters.timed_out += self._has_to_wait(self._order[0])
            results.append(self._give_up())
        results += self._release()
        return results

    def flush(self) -> Sequence[Synchronised[T]]:
        """Return everything that is open, complete or not; pieces of these keys are late from now on."""
        return [self._take() for _ in range(len(self._order))]

    def _choose_epoch(self, source: int, key: int, restarted: bool) -> int:
        """Let the source go to the epoch that its key belongs to; return that epoch."""
        epoch = self._epoch_of[source]
        if restarted:
            if epoch == self._newest_epoch:
                self._newest_epoch += 1 << _EPOCH_BITS
                self.counters.epochs += 1
            epoch = self._newest_epoch
        elif (
            epoch + key not in self._open and self._delivered < self._newest_epoch + key <= self._highest + self._window
        ):
            epoch = self._newest_epoch
        self._epoch_of[source] = epoch
        return epoch

    def _open_key(self, source: int, place: int, payload: T, now_ns: int, moved: bool) -> Sequence[Synchronised[T]]:
        payloads: list[T | None] = [None] * self._n_sources
        payloads[source] = payload
        missing = self._all ^ self._bits[source]
        self._open[place] = _OpenKey(payloads, missing, now_ns)
        heappush(self._order, place)
        if place > self._highest:
            self._highest = place
        if len(self._open) <= self._window and not moved:
            is_awaited = missing & self._awaited and place >= self._newest_epoch
            if is_awaited or place != self._order[0]:
                return ()  # as in `feed`
        results = self._release()
        if len(self._open) > self._window:
            self.counters.crowded_out += 1
            results.append(self._give_up())
            results += self._release()
        return results

    def _refuse(self, reason: Literal["late", "duplicate"], source: int, key: int, payload: T) -> None:
        refused = self.counters.late if reason == "late" else self.counters.duplicate
        refused[source] += 1
        if self._on_refused is not None:
            self._on_refused(reason, source, key, payload)

    def _awaited_for(self, place: int) -> int:
        """Return the bits of the sources whose pieces of an open key may still come."""
        awaited = self._open[place].missing & self._awaited
        if awaited and place < self._newest_epoch:
            for source, epoch in enumerate(self._epoch_of):
                if epoch > place:
                    awaited &= ~(1 << source)
        return awaited

    def _has_to_wait(self, place: int) -> bool:
        """Whether something is awaited before this key, the lowest one, may go."""
        if self._awaited_for(place):
            return True
        if not self._consecutive or place == self._delivered + 1:
            return False
        return place >> _EPOCH_BITS == self._delivered >> _EPOCH_BITS

    def _release(self) -> list[Synchronised[T]]:
        """Take out, from the lowest key on, what need not wait."""
        results = []
        order = self._order
        while order and not self._has_to_wait(order[0]):
            results.append(self._take())
        return results

    def _give_up(self) -> Synchronised[T]:
        """Take out the lowest key, and hold it against the sources that it waited for."""
        place = self._order[0]
        first_ns = self._open[place].first_ns
        for source in _sources(self._awaited_for(place)):
            if not self._n_missed[source] or first_ns - self._missed_ns[source] >= self._time_limit_ns:
                self._n_missed[source] += 1
                self._missed_ns[source] = first_ns
                if self._n_missed[source] == SILENT_AFTER:
                    self._awaited &= ~(1 << source)
        return self._take()

    def _take(self) -> Synchronised[T]:
        """Take out the lowest key."""
        place = heappop(self._order)
        pieces = self._open.pop(place)
        self._delivered = place
        missing: tuple[int, ...] = ()
        if pieces.missing:
            missing = _sources(pieces.missing)
            self.counters.incomplete += 1
            for source in missing:
                self.counters.missing[source] += 1
        else:
            self.counters.complete += 1
        return Synchronised(place & _KEY_MASK, pieces.payloads, missing, place >> _EPOCH_BITS)


def _sources(bits: int) -> tuple[int, ...]:
    """Return the numbers of the bits that are set, ascending."""
    sources = []
    while bits:
        sources.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return tuple(sources)
