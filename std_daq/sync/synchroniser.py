"""Bring together the pieces of one key that several sources deliver.

Example: the four modules of a detector each deliver a frame for frame number 17. The synchroniser collects the four
frames and delivers them together.

A source delivers *pieces*. Each piece has a *key*: a frame number or an image id. Usually a source delivers its
pieces in ascending order of their keys. A key is *open* from its first piece until the synchroniser delivers it. The
synchroniser delivers a key as soon as two conditions hold: each awaited source has brought its piece, and no lower
key is open. If pieces are still missing, the synchroniser *gives up* the key in two cases, that is, delivers it
without them:

- More than ``window`` keys are open. The synchroniser gives up the lowest key.
- ``time_limit_ns`` have passed since the first piece of a key. The synchroniser gives up this key and, before it, all
  lower keys, because keys leave in ascending order.

*Epochs.* After a restart, a detector counts from a low number again, and its modules do not restart at the same
moment. A source whose keys jump back opens a new epoch; if other sources are already in a newer epoch, it joins the
newest one. Keys are ordered by epoch first. A *place* is ``epoch << 64 | key``: one integer that compares, hashes and
sorts, so that most of the code below need not know about epochs. In the older epochs, the synchroniser does not await
a source that has moved to a newer one. A source that was off while the others restarted never jumps back. It joins
the newest epoch with its first key that fits there: a key that is not delivered yet, that is at most ``window`` above
the highest one, and that is not open in the source's own epoch. After the first delivery from an epoch, all pieces
of older epochs are late.

*Silence.* A dead source would make every key wait for the whole time limit. The synchroniser therefore stops awaiting
a source that is *silent*: `SILENT_AFTER` keys were given up without it, their first pieces at least the time limit
apart, and no piece at all came from it in the meantime. Any later piece of the source, also one that is late, makes
the source awaited again. So a source that lags by less than the time limit is never excluded, and a source that
pauses for slightly longer loses only the keys whose time limit passed during the pause.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from operator import index
from typing import Generic, Literal, NamedTuple, TypeVar

SILENT_AFTER = 3
"""Number of keys, at least a time limit apart, that are given up without a source before the source is silent."""

_EPOCH_BITS = 64
_KEY_MASK = (1 << _EPOCH_BITS) - 1

T = TypeVar("T")

RefusalHook = Callable[[Literal["late", "duplicate"], int, int, T], None]
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

    Each piece is counted exactly once: pieces fed = pieces delivered + late + duplicate + pieces still open.

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
    """A key that is not delivered yet; in ``missing``, bit ``1 << source`` is set if that source's piece is missing."""

    __slots__ = ("first_ns", "missing", "payloads")

    def __init__(self, payloads: list[T | None], missing: int, first_ns: int) -> None:
        self.payloads = payloads
        self.missing = missing
        self.first_ns = first_ns


class Synchroniser(Generic[T]):
    """Bring together the pieces of one key that several sources deliver.

    The class is pure: it has no threads and reads no clock. It delivers each key once: the epochs one after the
    other, and the keys of an epoch in ascending order. It never delivers a key of which no piece was fed.

    Parameters
    ----------
    n_sources
        Number of sources; they are numbered from 0.
    window
        Largest number of open keys, including complete keys that wait for lower ones. The synchroniser never holds
        more.
    time_limit_ns
        Longest time from the first piece of a key to its delivery, in nanoseconds.
    consecutive
        Whether the keys count up by one and a source may deliver them out of order. Example: a source has two links,
        one for the odd keys and one for the even. If True, key 8 waits for key 7 even if no piece of key 7 has come
        yet. If False, key 8 is delivered as soon as it is complete, and pieces of key 7 that come afterwards are late.
    on_refused
        Called for each late or duplicate piece. These pieces are counted whether or not it is given.
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
            raise ValueError(f"{n_sources=}, {window=} and {time_limit_ns=} must be at least 1")
        self.counters = SynchroniserCounters([0] * n_sources, [0] * n_sources, [0] * n_sources)
        self._n_sources = n_sources
        self._window = window
        self._time_limit_ns = time_limit_ns
        self._consecutive = consecutive
        self._on_refused = on_refused
        self._all = (1 << n_sources) - 1
        self._bits = [1 << source for source in range(n_sources)]
        self._open: dict[int, _OpenKey[T]] = {}  # by place, in the order of the first pieces
        self._order: list[int] = []  # the same places, as a heap
        self._delivered = -1  # the highest place delivered
        self._highest = -1  # the highest place opened
        self._epoch_of = [0] * n_sources  # each epoch as the place of its key 0
        self._newest_epoch = 0
        self._awaited = self._all
        self._n_missed = [0] * n_sources  # keys given up without the source since its last piece
        self._missed_ns = [0] * n_sources  # time of the first piece of the key that was counted last

    def __len__(self) -> int:
        """Return the number of open keys."""
        return len(self._open)

    @property
    def silent(self) -> tuple[int, ...]:
        """Numbers of the silent sources, which are not awaited at present."""
        return _sources(self._all ^ self._awaited)

    def feed(
        self, source: int, key: int, payload: T, now_ns: int, restarted: bool = False
    ) -> Sequence[Synchronised[T]]:
        """Add one piece, and return the keys that can be delivered now.

        Parameters
        ----------
        source
            Number of the source.
        key
            Key of the piece, from 0 to 2**64 - 1.
        payload
            Content of the piece; returned in `Synchronised.payloads`.
        now_ns
            Monotonic time in nanoseconds, from the same clock as for `poll`.
        restarted
            Whether this is the first piece of the source after its keys jumped back.
        """
        key = index(key)  # in the second epoch, a place in a numpy integer would overflow
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
            return ()  # the lowest key had to wait before this piece, and still waits for the same source or key
        return self._deliver_ready()

    def poll(self, now_ns: int) -> Sequence[Synchronised[T]]:
        """Return the keys that have reached their time limit, and the keys that waited for these.

        Call `feed` first for all pieces that have already arrived; otherwise a key may be given up although its piece
        waits in a queue.
        """
        due = -1
        for place, pieces in self._open.items():
            if now_ns - pieces.first_ns < self._time_limit_ns:
                break
            due = max(due, place)
        results = []
        while self._order and self._order[0] <= due:
            self.counters.timed_out += self._has_to_wait(self._order[0])
            results.append(self._give_up_lowest())
        results += self._deliver_ready()
        return results

    def flush(self) -> Sequence[Synchronised[T]]:
        """Return all open keys, complete or not; pieces of these keys that come later are late."""
        return [self._deliver_lowest() for _ in range(len(self._order))]

    def _choose_epoch(self, source: int, key: int, restarted: bool) -> int:
        """Move the source to the epoch that its key belongs to, and return this epoch."""
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
                return ()  # for the same reason as in `feed`
        results = self._deliver_ready()
        if len(self._open) > self._window:
            self.counters.crowded_out += 1
            results.append(self._give_up_lowest())
            results += self._deliver_ready()
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
        """Return whether this key, the lowest one, has to wait for a piece or for the key before it."""
        if self._awaited_for(place):
            return True
        if not self._consecutive or place == self._delivered + 1:
            return False
        return place >> _EPOCH_BITS == self._delivered >> _EPOCH_BITS

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
        for source in _sources(self._awaited_for(place)):
            if not self._n_missed[source] or first_ns - self._missed_ns[source] >= self._time_limit_ns:
                self._n_missed[source] += 1
                self._missed_ns[source] = first_ns
                if self._n_missed[source] == SILENT_AFTER:
                    self._awaited &= ~(1 << source)
        return self._deliver_lowest()

    def _deliver_lowest(self) -> Synchronised[T]:
        """Remove and return the lowest key."""
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
    """Return the numbers of the sources whose bits are set, ascending."""
    sources = []
    while bits:
        sources.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return tuple(sources)
