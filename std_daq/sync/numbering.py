"""Numbering: decides which keys go on when those of some sources jump. The rules are explained in synchroniser.py."""

from collections.abc import Sequence
from heapq import heapify, heappush
from typing import TypeVar, cast

from std_daq.sync.ordered_keys import (
    EPOCH_BITS,
    KEY_MASK,
    NEVER,
    OpenKey,
    OrderedKeys,
    RefusalHook,
    Synchronised,
    sources_of,
)
from std_daq.sync.proposal import Proposal

HELD_WINDOWS = 16
"""Number of windows of keys that are held in proposals at most."""
LAG_PART = 12
"""Pieces of one key come within this part of the time limit, unless a source lags. If the others have paused for
longer, a source whose keys jump back is more probably the first one to restart than the last one."""


T = TypeVar("T")


class Numbering(OrderedKeys[T]):
    """Ordered keys, and the proposals of sources whose keys have jumped. For the parameters see `Synchroniser`."""

    def __init__(
        self,
        n_sources: int,
        *,
        window: int,
        time_limit_ns: int,
        consecutive: bool,
        max_step: int,
        on_refused: RefusalHook[T] | None,
    ) -> None:
        super().__init__(
            n_sources, window=window, time_limit_ns=time_limit_ns, consecutive=consecutive, on_refused=on_refused
        )
        self._max_step = max_step
        self._last = [NEVER] * n_sources  # the highest place of each source
        self._heard_ns = [0] * n_sources  # time of the last piece of each source
        # Places between these two belong to keys that the majority has left for those of a proposal.
        self._left_at = self._gone_to = -1
        self._proposals: list[Proposal[T]] = []
        self._odd = 0  # sources whose proposals were rejected, until a piece of theirs is used

    def __len__(self) -> int:
        """Return the number of keys that are open or held."""
        return len(self._open) + sum(len(proposal.held) for proposal in self._proposals)

    @property
    def odd(self) -> dict[int, int]:
        """Sources that count differently: by how many keys each is ahead of the others; negative if it is behind."""
        highest = self._highest & KEY_MASK
        return {
            source: proposal.high - highest
            for proposal in self._proposals
            for source in sources_of(proposal.sources & self._odd)
        }

    def _is_open_to(self, source: int, place: int) -> bool:
        """Return whether a piece of the source is missing at a place that the others have reached."""
        pieces = self._open.get(place)
        if pieces is None:
            return self._delivered < place <= self._highest and not self._left_at < place < self._gone_to
        return bool(pieces.missing & self._bits[source])

    def _later_place(self, source: int, key: int, now_ns: int) -> int | None:
        """Return the place of the first piece of a source after a restart, if the others have restarted before it.

        If the others have paused since, this may as well be the next restart: then it is None.
        """
        lag_ns = self._time_limit_ns // LAG_PART
        end = self._epoch_of[source] + KEY_MASK
        for place in sorted(self._open):
            is_same = place > end and place & KEY_MASK == key and self._is_open_to(source, place)
            if is_same and abs(self._open[place].first_ns - now_ns) <= lag_ns:
                return place
        if not self._are_others_active(source, now_ns):
            return None
        place = self._newest_epoch + key
        is_next = self._highest < place <= self._highest + self._max_step
        return place if is_next or self._is_open_to(source, place) else None

    def _are_others_active(self, source: int, now_ns: int) -> bool:
        """Return whether another source has brought something for the newest epoch a short time ago."""
        lag_ns = self._time_limit_ns // LAG_PART
        return any(
            other != source
            and abs(self._heard_ns[other] - now_ns) <= lag_ns
            and self._epoch_of[other] == self._newest_epoch
            and not self._apart & self._bits[other]
            for other in range(self._n_sources)
        )

    def _proposal_of(self, source: int) -> Proposal[T] | None:
        bit = self._bits[source]
        if self._apart & bit:
            for proposal in self._proposals:
                if proposal.sources & bit:
                    return proposal
        return None

    def _propose(self, source: int, key: int, payload: T, now_ns: int, restarted: bool) -> Sequence[Synchronised[T]]:
        """Hold a doubtful piece of a source that has no proposal yet."""
        lag_ns = self._time_limit_ns // LAG_PART if restarted else -NEVER
        bit = self._bits[source]
        for proposal in self._proposals:
            if proposal.may_be_joined_by(key, bit, self._window, now_ns, lag_ns):
                break
        else:
            is_late = self._epoch_of[source] < self._newest_epoch and self._are_others_active(source, now_ns)
            is_ahead = (is_late or not restarted) and self._newest_epoch + key > self._highest >= 0
            proposal = Proposal(key, is_ahead=is_ahead)
            self._proposals.append(proposal)
        proposal.is_restart |= restarted
        proposal.left = max(proposal.left, self._last[source])
        proposal.add(key, source, payload, self._n_sources, now_ns)
        self._set_apart(self._apart | bit)
        return self._settle(proposal)

    def _settle(self, proposal: Proposal[T]) -> list[Synchronised[T]]:
        """Accept a proposal if the majority has joined it, and decide on the oldest one if too many keys are held."""
        results: list[Synchronised[T]] = []
        n_active = (self._all & (~self._silent | proposal.sources)).bit_count()
        if 2 * proposal.n_sources > n_active:
            results += self._accept(proposal)
        else:
            n_held = sum(len(other.held) for other in self._proposals)
            if n_held > self._window:
                oldest = min((other for other in self._proposals if other.held), key=lambda other: other.oldest_ns)
                results += self._accept_if_most(oldest)
                if n_held > HELD_WINDOWS * self._window and oldest in self._proposals:
                    self._reject(oldest)
                    self._refuse_key(oldest, next(iter(oldest.held)))
        return [*results, *self._deliver_ready()]

    def _judge_due(self, proposal: Proposal[T], now_ns: int) -> list[Synchronised[T]]:
        """Decide on a proposal whose time limit has passed; if it is rejected, refuse the pieces that were due."""
        results: list[Synchronised[T]] = []
        while proposal in self._proposals and proposal.held and now_ns - proposal.oldest_ns >= self._time_limit_ns:
            results += self._decide(proposal)
            if proposal in self._proposals:
                self._refuse_key(proposal, next(iter(proposal.held)))
        return results

    def _decide(self, proposal: Proposal[T]) -> list[Synchronised[T]]:
        """Accept a proposal if more sources have joined it than go on without it; otherwise mark it as rejected."""
        if not proposal.held:
            return []
        results = self._accept_if_most(proposal)
        if proposal in self._proposals:
            self._reject(proposal)
        return results

    def _reject(self, proposal: Proposal[T]) -> None:
        proposal.is_rejected = True
        self._odd |= proposal.sources

    def _accept_if_most(self, proposal: Proposal[T]) -> list[Synchronised[T]]:
        """Accept a proposal if more sources have joined it than go on without it."""
        if self._highest < 0:
            return self._accept(max(self._proposals, key=lambda other: other.n_sources))
        if proposal.n_sources == 1 and proposal.is_restart:
            source = sources_of(proposal.sources)[0]
            later = self._later_place(source, min(proposal.held), proposal.oldest_ns)
            if later is not None and later > self._epoch_of[source] + KEY_MASK:
                self._take_up(proposal, later & ~KEY_MASK)
                return self._deliver_ready_and_crowded()
        since_ns = proposal.oldest_ns - self._time_limit_ns
        n_going_on = sum(
            self._last[source] > proposal.left and self._heard_ns[source] > since_ns
            for source in sources_of(self._all & ~self._apart)
        )
        return self._accept(proposal) if proposal.n_sources > n_going_on else []

    def _accept(self, proposal: Proposal[T]) -> list[Synchronised[T]]:
        """Make the keys of a proposal the keys of all."""
        start = self._newest_epoch + proposal.low
        if self._highest >= 0:
            self._left_at = self._highest
            if proposal.is_restart or start <= self._highest:
                self._newest_epoch += 1 << EPOCH_BITS
                self._gone_to = self._newest_epoch
                self.counters.epochs += 1
                for other in self._proposals:
                    other.is_ahead = False
            else:
                self._gone_to = start - self._window
                if start - self._highest <= self._window:
                    self._max_step = max(self._max_step, start - self._highest)
        self._take_up(proposal, self._newest_epoch)
        return self._deliver_ready_and_crowded()

    def _take_up(self, proposal: Proposal[T], epoch: int) -> None:
        """Use the pieces of a proposal in an epoch, and let its sources go on there."""
        self._dismiss(proposal)
        for source in sources_of(proposal.sources):
            self._epoch_of[source] = epoch
        for key, pieces in proposal.held.items():
            self._insert(epoch + key, pieces)
        self._open = dict(sorted(self._open.items(), key=lambda item: item[1].first_ns))

    def _insert(self, place: int, pieces: OpenKey[T]) -> None:
        """Add pieces of one key, whose place may be open, free or delivered already."""
        present = self._open.get(place)
        if present is None and place > self._delivered:
            self._open[place] = pieces
            heappush(self._order, place)
            self._highest = max(self._highest, place)
            present = OpenKey([], 0, 0)
            for source in sources_of(self._all & ~pieces.missing):
                self._last[source] = max(self._last[source], place)
            return
        for source in sources_of(self._all & ~pieces.missing):
            payload = cast("T", pieces.payloads[source])
            if present is not None and present.missing & self._bits[source]:
                present.payloads[source] = payload
                present.missing ^= self._bits[source]
                self._last[source] = max(self._last[source], place)
            else:
                self._refuse("late" if present is None else "duplicate", source, place & KEY_MASK, payload)

    def _leave(self, proposal: Proposal[T], source: int) -> list[Synchronised[T]]:
        """Let a source leave a proposal, because its keys have jumped again or fit those of the others again."""
        results = self._decide(proposal) if not proposal.is_rejected else []
        if proposal not in self._proposals:
            return results
        bit = self._bits[source]
        proposal.sources &= ~bit
        for key, pieces in list(proposal.held.items()):
            if not pieces.missing & bit:
                self._refuse("odd", source, key, cast("T", pieces.payloads[source]))
                pieces.payloads[source] = None
                pieces.missing |= bit
                if pieces.missing == self._all:
                    del proposal.held[key]
        if not proposal.sources:
            self._proposals.remove(proposal)
        self._set_apart(self._apart & ~bit)
        return results

    def _merge_reached(self, now_ns: int) -> None:
        """Take up the proposals whose keys the others have reached: the sources had lost what lay before."""
        since_ns = now_ns - self._time_limit_ns // LAG_PART
        reached = self._highest - self._newest_epoch
        for proposal in list(self._proposals):
            is_recent = bool(proposal.held) and proposal.oldest_ns >= since_ns
            if proposal.is_ahead:
                is_reached = reached >= proposal.high or (is_recent and reached >= min(proposal.held))
            else:
                # Its sources have restarted later than the others: their first frames after that were lost.
                is_reached = is_recent and reached in proposal.held and self._is_in_older_epoch(proposal)
            if is_reached:
                self._take_up(proposal, self._newest_epoch)

    def _is_in_older_epoch(self, proposal: Proposal[T]) -> bool:
        return all(self._epoch_of[source] < self._newest_epoch for source in sources_of(proposal.sources))

    def _refuse_leaders(self, place: int) -> bool:
        """Refuse the pieces from a place on if the majority is still below it; return whether they were refused."""
        pieces = self._open[place]
        holders = self._all & ~pieces.missing
        below = sum(
            self._epoch_of[source] == self._newest_epoch
            and self._last[source] < place
            and self._heard_ns[source] > pieces.first_ns
            for source in sources_of(pieces.missing & self._awaited)
        )
        if place < self._newest_epoch or below <= holders.bit_count():
            return False
        proposal = Proposal[T](place & KEY_MASK, is_ahead=True)
        proposal.sources = holders & ~self._apart
        self._reject(proposal)
        proposal.left = self._delivered
        for other in [
            other for other in self._open if other >= place and not self._all & ~self._open[other].missing & ~holders
        ]:
            proposal.held[other & KEY_MASK] = self._open.pop(other)
            proposal.high = max(proposal.high, other & KEY_MASK)
        self._refuse_held(proposal)
        for source in sources_of(holders):
            self._last[source] = self._delivered
        if proposal.sources:
            self._proposals.append(proposal)
            self._set_apart(self._apart | proposal.sources)
        self._order = list(self._open)
        heapify(self._order)
        self._highest = max(self._open, default=self._delivered)
        return True

    def _dismiss(self, proposal: Proposal[T]) -> None:
        self._proposals.remove(proposal)
        self._odd &= ~proposal.sources
        self._set_apart(self._apart & ~proposal.sources)

    def _refuse_held(self, proposal: Proposal[T]) -> None:
        for key in list(proposal.held):
            self._refuse_key(proposal, key)

    def _refuse_key(self, proposal: Proposal[T], key: int) -> None:
        pieces = proposal.held.pop(key)
        for source in sources_of(self._all & ~pieces.missing):
            self._refuse("odd", source, key, cast("T", pieces.payloads[source]))
