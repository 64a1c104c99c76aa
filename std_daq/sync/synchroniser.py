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

*Epochs.* After a restart, a detector counts from a low number again. Keys are ordered by epoch first. A *place* is
``epoch << 64 | key``: one integer that compares, hashes and sorts, so that most of the code below need not know about
epochs. In the older epochs, the synchroniser does not await a source that has moved to a newer one. After the first
delivery from an epoch, all pieces of older epochs are late.

*The majority decides.* No source alone can begin an epoch or jump ahead. A piece is *doubtful* if the keys of its
source have jumped back, or have jumped to a key above all others. It is held in a `Proposal`, and its source is not
awaited meanwhile. Other sources whose keys jump as well join the proposal. The synchroniser accepts it

- as soon as more than half of the sources that are not silent have joined it;
- after ``time_limit_ns``, or when one of its sources jumps again, if more sources have joined it than go on without it.
  A source goes on without it if it has brought a key above those after which the sources of the proposal have left;
- if the other sources come to the same keys: then the jump was a gap of pieces that were lost.

Otherwise the pieces are refused as *odd* after ``time_limit_ns``. The source stays odd until its keys fit again, or
until the proposal is accepted after all. At the start there are no keys that anyone could go on with. Then the proposal
with the most sources is accepted.

A source may also run ahead of the others without a jump. When the time limit of such a key has passed, and more
sources are still below it than have brought it, its pieces are refused and their sources are odd. Otherwise the key
would be delivered, and the pieces that the majority brings afterwards would be late.

*Silence.* A dead source would make every key wait for the whole time limit. The synchroniser therefore stops awaiting
a source that is *silent*: `SILENT_AFTER` keys were given up without it, their first pieces at least the time limit
apart, and no piece at all came from it in the meantime. Any later piece of the source, also one that is late, makes
the source awaited again. So a source that lags by less than the time limit is never excluded, and a source that
pauses for slightly longer loses only the keys whose time limit passed during the pause.
"""

from collections.abc import Sequence
from heapq import heappush
from operator import index
from typing import TypeVar

from std_daq.sync.numbering import HELD_WINDOWS, LAG_PART, Numbering
from std_daq.sync.ordered_keys import (
    EPOCH_BITS,
    KEY_MASK,
    NEVER,
    SILENT_AFTER,
    OpenKey,
    Refusal,
    RefusalHook,
    Synchronised,
    SynchroniserCounters,
)

__all__ = [
    "HELD_WINDOWS",
    "SILENT_AFTER",
    "Refusal",
    "RefusalHook",
    "Synchronised",
    "Synchroniser",
    "SynchroniserCounters",
]

T = TypeVar("T")


class Synchroniser(Numbering[T]):
    """Bring together the pieces of one key that several sources deliver.

    The class is pure: it has no threads and reads no clock. It delivers each key once: the epochs one after the
    other, and the keys of an epoch in ascending order. It never delivers a key of which no piece was fed.

    Parameters
    ----------
    n_sources
        Number of sources; they are numbered from 0.
    window
        Largest number of open keys, including complete keys that wait for lower ones. At most `HELD_WINDOWS` as many
        are held in proposals.
    time_limit_ns
        Longest time from the first piece of a key to its delivery, in nanoseconds.
    consecutive
        Whether the keys count up by one and a source may deliver them out of order. Example: a source has two links,
        one for the odd keys and one for the even. If True, key 8 waits for key 7 even if no piece of key 7 has come
        yet. If False, key 8 is delivered as soon as it is complete, and pieces of key 7 that come afterwards are late.
    max_step
        Largest difference between the highest key of a source and its next one that is no jump. Example: 2 for a
        source with two links, of which one may be ahead.
    on_refused
        Called for each piece that is not used. These pieces are counted whether or not it is given.
    """

    def __init__(
        self,
        n_sources: int,
        *,
        window: int,
        time_limit_ns: int,
        consecutive: bool = False,
        max_step: int = 1,
        on_refused: RefusalHook[T] | None = None,
    ) -> None:
        super().__init__(
            n_sources,
            window=window,
            time_limit_ns=time_limit_ns,
            consecutive=consecutive,
            max_step=max_step,
            on_refused=on_refused,
        )

    def feed(
        self,
        source: int,
        key: int,
        payload: T,
        now_ns: int,
        restarted: bool = False,
        arrived_ns: int | None = None,
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
        arrived_ns
            When this piece arrived, if it was held back since, by the same clock; by default now.
        """
        key = index(key)  # in the second epoch, a place in a numpy integer would overflow
        bit = self._bits[source]
        if self._n_missed[source]:
            self._n_missed[source] = 0
            self._silent &= ~bit
            self._awaited = self._all & ~(self._silent | self._apart)
        self._heard_ns[source] = now_ns
        if restarted or bit & self._apart or self._epoch_of[source] != self._newest_epoch:
            at_ns = now_ns if arrived_ns is None else arrived_ns
            return self._feed_moved(source, key, payload, at_ns, restarted)
        place = self._newest_epoch + key
        last = self._last[source]
        pieces = self._open.get(place)
        if pieces is None:
            if place <= self._delivered:
                if last == NEVER and self._delivered - place > self._window:
                    return self._propose(source, key, payload, now_ns, restarted)
                self._refuse("late", source, key, payload)
                return ()
            if (place > self._highest and place - last > self._max_step) or self._left_at < place < self._gone_to:
                return self._propose(source, key, payload, now_ns, restarted)
            if place > last:
                self._last[source] = place
            return self._open_key(source, place, payload, now_ns)
        missing = pieces.missing
        if not missing & bit:
            self._refuse("duplicate", source, key, payload)
            return ()
        if place > last:
            self._last[source] = place
        pieces.payloads[source] = payload
        pieces.missing = missing = missing ^ bit
        if missing & self._awaited or place != self._order[0]:
            return ()  # the lowest key had to wait before this piece, and still waits for the same source or key
        return self._deliver_ready()

    def feed_older(self, source: int, key: int, payload: T, now_ns: int) -> Sequence[Synchronised[T]]:
        """Add a piece of a source from before its last restart, which another of its links had noticed sooner."""
        proposal = self._proposal_of(source)
        epoch = self._epoch_of[source]
        if proposal is None or not proposal.is_restart:
            epoch -= 1 << EPOCH_BITS
        pieces = OpenKey[T]([None] * self._n_sources, self._all ^ self._bits[source], now_ns)
        pieces.payloads[source] = payload
        self._insert(epoch + index(key), pieces)
        return self._deliver_ready_and_crowded()

    def poll(self, now_ns: int) -> Sequence[Synchronised[T]]:
        """Return the keys that have reached their time limit, and the keys that waited for these.

        Call `feed` first for all pieces that have already arrived; otherwise a key may be given up although its piece
        waits in a queue.
        """
        results: list[Synchronised[T]] = []
        for proposal in list(self._proposals):
            results += self._judge_due(proposal, now_ns)
        due_places = []
        for place, pieces in self._open.items():
            if now_ns - pieces.first_ns < self._time_limit_ns:
                break
            due_places.append(place)
        due = -1
        for place in due_places:
            if place in self._open and not self._refuse_leaders(place):
                due = max(due, place)
        while self._order and self._order[0] <= due:
            self.counters.timed_out += self._has_to_wait(self._order[0])
            results.append(self._give_up_lowest())
        results += self._deliver_ready()
        return results

    def flush(self) -> Sequence[Synchronised[T]]:
        """Return all open keys, complete or not, and accept all proposals that are not rejected.

        Pieces of these keys that come later are late.
        """
        results: list[Synchronised[T]] = []
        for proposal in sorted(self._proposals, key=lambda other: (-other.n_sources, other.low)):
            if proposal.is_rejected:
                self._dismiss(proposal)
                self._refuse_held(proposal)
            else:
                results += self._accept(proposal)
        return [*results, *(self._deliver_lowest() for _ in range(len(self._order)))]

    def _feed_moved(self, source: int, key: int, payload: T, now_ns: int, restarted: bool) -> Sequence[Synchronised[T]]:
        """Add a piece of a source that has jumped back, is apart, or is in an older epoch."""
        proposal = self._proposal_of(source)
        place = self._newest_epoch + key
        if proposal is not None:
            if not restarted and proposal.is_continued_by(key, self._window) and not self._is_open_to(source, place):
                if not proposal.add(key, source, payload, self._n_sources, now_ns):
                    self._refuse("duplicate", source, key, payload)
                return self._settle(proposal)
            results = [*self._leave(proposal, source), *self.feed(source, key, payload, now_ns, restarted)]
            if not self._apart & self._bits[source]:
                self._odd &= ~self._bits[source]
            return results
        if self._epoch_of[source] == self._newest_epoch:
            return self._propose(source, key, payload, now_ns, restarted)
        if restarted:
            later = self._later_place(source, key, now_ns)
            if later is None:
                return self._propose(source, key, payload, now_ns, restarted)
            return self._put(source, later, payload, now_ns)
        own = self._epoch_of[source] + key
        is_newer = self._is_open_to(source, place) or self._highest < place <= self._highest + self._max_step
        pieces = self._open.get(own)
        if pieces is not None and pieces.missing & self._bits[source]:
            # It may have lost so much at the restart that its keys go on as if there had been none.
            is_old = now_ns - pieces.first_ns > self._time_limit_ns // LAG_PART
            is_newer = is_newer and is_old and self._are_others_active(source, now_ns)
        elif not is_newer and self._left_at < own < self._gone_to:
            return self._propose(source, key, payload, now_ns, restarted)
        return self._put(source, place if is_newer else own, payload, now_ns)

    def _put(self, source: int, place: int, payload: T, now_ns: int) -> Sequence[Synchronised[T]]:
        """Use a piece at a place, or refuse it, and move the source to the epoch of the place."""
        self._epoch_of[source] = place & ~KEY_MASK
        self._last[source] = max(self._last[source], place)
        pieces = OpenKey[T]([None] * self._n_sources, self._all ^ self._bits[source], now_ns)
        pieces.payloads[source] = payload
        self._insert(place, pieces)
        return self._deliver_ready_and_crowded()

    def _open_key(self, source: int, place: int, payload: T, now_ns: int) -> Sequence[Synchronised[T]]:
        payloads: list[T | None] = [None] * self._n_sources
        payloads[source] = payload
        missing = self._all ^ self._bits[source]
        self._open[place] = OpenKey(payloads, missing, now_ns)
        heappush(self._order, place)
        if place > self._highest:
            self._highest = place
            if self._proposals:
                self._merge_reached(now_ns)
                return self._deliver_ready_and_crowded()
        if len(self._open) <= self._window:
            if missing & self._awaited or place != self._order[0]:
                return ()  # for the same reason as in `feed`
            return self._deliver_ready()
        return self._deliver_ready_and_crowded()
