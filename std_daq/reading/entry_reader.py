"""EntryReader: reads the entries of a ring while its owner writes; the readers of images and of events are made of it.

The writer never waits for a reader. It uses the slots of the ring in turn, so an entry stays until the writer has
filled the whole ring once. A reader that falls further behind loses entries, and `EntryReader.lost` tells which.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar

from std_daq.errors import MissingRingError, SharedMemoryError
from std_daq.reading.journal_search import Fate, find_in_journal
from std_daq.reading.lost_entries import LostEntries
from std_daq.reading.missing_entry import MissingEntry
from std_daq.shm.entry_ring import EntryRing, Readable
from std_daq.shm.journal import Journal
from std_daq.streams.doorbell import Doorbell
from std_daq.streams.follower import RingFollower
from std_daq.telemetry.logs import ConditionLog

# Seconds between two looks for a new ring, or for entries if a message of the doorbell was lost.
_LOOK_S = 0.1
_LOOK_WITHOUT_DOORBELL_S = 0.01

Start = Literal["now", "oldest"] | int
"""Where to begin: with the next entry, with the oldest one in the ring, or with the entry of this id."""

Item = TypeVar("Item", bound=Readable)
Missing = TypeVar("Missing", bound=MissingEntry)


class EntryReader(Generic[Item, Missing]):
    """Reads the entries of one ring; a context manager, and an iterator over new entries.

    The ring need not exist yet. If it is replaced, the entries of the new ring follow those of the old one. The reader
    sleeps until the writer rings the doorbell. Use a reader in one thread only.

    Parameters
    ----------
    attach
        Attaches to the ring; raises MissingRingError while there is none.
    address
        Address of the doorbell of the ring; None if it is not known: the reader then looks 100 times a second.
    missing
        What stands for an entry that is not there.
    start
        Where `next` and iteration begin. ``"now"``: with the next published entry. ``"oldest"``: with the oldest one in
        the ring. A number: with the entry of this id, or if there is none, with the next higher id.
    copy
        Whether to return copies. If False, entries are views of the ring: after using one, call its `is_intact`, and
        discard your results if it returns False.
    timeout_s
        Iteration ends if no entry comes for this time, in seconds; by default it never ends.

    Attributes
    ----------
    lost
        The entries that this reader could not return, because they were overwritten.
    n_skipped
        Number of entries that were skipped on purpose, by `newest` and `skip`.

    Raises
    ------
    SharedMemoryError
        The file is not the expected ring, or permissions are missing; all methods that look for entries raise it, too.
    """

    def __init__(
        self,
        attach: Callable[[], EntryRing[Item]],
        address: str | None,
        missing: type[Missing],
        *,
        start: Start = "now",
        copy: bool = True,
        timeout_s: float | None = None,
    ) -> None:
        if isinstance(start, str) and start not in {"now", "oldest"}:
            article = "an" if missing.noun[0] in "aeiou" else "a"
            raise ValueError(f"start is 'now', 'oldest' or the id of {article} {missing.noun}, not {start!r}")
        self._attach_ring = attach
        self._address = address
        self._missing = missing
        self._start = start
        self._copy = copy
        self._timeout_s = timeout_s
        self._doorbell: Doorbell | None = None
        self._problem: SharedMemoryError | None = None
        self._was_there = True  # all entries of a ring that appears later are new
        self._first_id: int | None = None
        self._newest: tuple[EntryRing[Item] | None, int] = (None, 0)
        self._end = 0  # end of the published entries at the last look
        self._is_closed = False
        self._conditions = ConditionLog()
        self.lost = LostEntries(missing.noun)
        self.n_skipped = 0
        self._follower = RingFollower(self._attach, start=self._place)
        self._look()
        self._was_there = False

    @property
    def ring(self) -> EntryRing[Item] | None:
        """The ring that is read now; None while there is none."""
        return self._follower.ring

    @property
    def lag(self) -> int:
        """Number of published entries that `next` has not returned yet."""
        return self._follower.lag

    def next(self, timeout_s: float | None = None) -> Item | None:
        """Return the next entry in the order of publication, or None if none comes within ``timeout_s`` seconds.

        Overwritten entries are skipped, and recorded in `lost`. If the writer has overtaken the reader, the reader
        skips a quarter of the ring, so that it is not overtaken again at once.
        """
        deadline = _deadline(timeout_s)
        while True:
            entry = self._read_next()
            if entry is not None or not self._wait_for_entry(deadline):
                return entry

    def newest(self, timeout_s: float | None = None) -> Item | None:
        """Return the newest entry if it is newer than the last returned one, or None after ``timeout_s`` seconds.

        The first call returns the newest entry of the ring, however old it is. `next` continues after it.
        """
        deadline = _deadline(timeout_s)
        while True:
            entry = self._read_newest()
            if entry is not None or not self._wait_for_entry(deadline):
                return entry

    def by_id(self, entry_id: int) -> Item | Missing:
        """Return the entry with this id, or why it is not there; does not wait, and does not affect `next`."""
        with self._present_ring() as ring:
            if ring is None:
                return self._missing(entry_id, Fate.TO_COME)
            place = find_in_journal(ring.journal, entry_id, ring.n_slots)
            if place.fate is Fate.PUBLISHED:
                entry = self._checked(ring.view(place.sequence))
                return entry or self._missing(entry_id, Fate.OVERWRITTEN)
            if place.fate is Fate.FORGOTTEN:
                place = find_in_journal(ring.journal, entry_id, ring.geometry.n_entries)
        return self._missing(entry_id, Fate.OVERWRITTEN if place.fate is Fate.PUBLISHED else place.fate)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until `next` has an entry to return, at most ``timeout_s`` seconds; returns whether it has."""
        deadline = _deadline(timeout_s)
        self._look()
        while not self.lag:
            if not self._wait_for_entry(deadline):
                return False
            self._look()
        return True

    def skip(self, n_left: int = 0) -> int:
        """Skip all published entries except the newest ``n_left``; returns the number of skipped entries."""
        n_skipped = self._follower.skip(n_left)
        self.n_skipped += n_skipped
        return n_skipped

    def close(self) -> None:
        """Release the ring; copies stay valid, and views keep the memory of the ring until they are deleted."""
        if self._doorbell is not None:
            self._doorbell.close()
            self._doorbell = None
        self._is_closed = True
        self._end = 0
        self._follower.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Item]:
        while (entry := self.next(self._timeout_s)) is not None:
            yield entry

    # -- entries

    def _read_next(self) -> Item | None:
        follower = self._follower
        if follower.cursor >= self._end:
            self._look()
        while follower.ring is not None and follower.cursor < self._end:
            found = follower.ring.view(follower.cursor)
            entry = self._checked(found)
            if entry is None:
                self._lose(follower.ring, has_margin=found is not None or not self._copy)
                continue
            follower.cursor += 1
            if self._first_id is None or entry.id >= self._first_id:
                self._first_id = None
                return self._noted(entry)
        return None

    def _read_newest(self) -> Item | None:
        follower = self._follower
        self._look()
        ring = follower.ring
        if ring is None:
            return None
        end = self._end
        first = self._newest[1] if ring is self._newest[0] else 0
        for sequence in range(end - 1, max(first, ring.last_overwritten, 0) - 1, -1):
            entry = self._checked(ring.view(sequence))
            if entry is not None:
                self.n_skipped += max(0, sequence - follower.cursor)
                follower.cursor = max(follower.cursor, end)
                return self._noted(entry)
        return None

    def _checked(self, entry: Item | None) -> Item | None:
        return entry.copy() if entry is not None and self._copy else entry

    def _noted(self, entry: Item) -> Item:
        self._newest = (self._follower.ring, entry.sequence + 1)
        return entry

    def _lose(self, ring: EntryRing[Item], *, has_margin: bool) -> None:
        """Skip the next entry and all overwritten ones, and record them as lost.

        With a margin, a quarter of the ring is skipped in addition. Without it, the writer would overwrite each entry
        while the reader copies it, and the reader would never return any.
        """
        follower, journal = self._follower, ring.journal
        floor = follower.cursor + 1
        # If the next entry is not in the ring but newer ones are, it was lost on its way to this server.
        if follower.cursor <= ring.last_overwritten:
            floor = max(floor, ring.safe_start if has_margin else ring.last_overwritten)
        n_unnamed = max(0, min(journal.oldest_sequence, floor) - follower.cursor)
        known = follower.cursor + n_unnamed
        part = journal.read(known, floor - known)
        ids = part.entries["id"].tolist()
        follower.cursor = known + part.n_lost + len(ids)
        if self._first_id is not None:
            ids = [entry_id for entry_id in ids if entry_id >= self._first_id]
        n_unnamed += part.n_lost
        self.lost.add(ids, n_unnamed)
        if ids or n_unnamed:
            names = {"first_id": ids[0], "last_id": ids[-1]} if ids else {}
            self._conditions.warning(f"{self._missing.noun}s_lost", **names, n_unnamed=n_unnamed, n_lost=self.lost.n)

    # -- the ring

    def _attach(self) -> EntryRing[Item]:
        try:
            return self._attach_ring()
        except MissingRingError:
            raise
        except SharedMemoryError as error:
            self._problem = error
            raise

    def _place(self, ring: EntryRing[Item], journal: Journal) -> int:
        """Return the first sequence number to read."""
        start = self._start
        if start == "now":
            return journal.next_sequence if self._was_there else journal.oldest_sequence
        if start == "oldest":
            return ring.oldest if self._was_there else journal.oldest_sequence
        self._first_id = start
        place = find_in_journal(journal, start, ring.geometry.n_entries)
        match place.fate:
            case Fate.TO_COME:
                return journal.next_sequence
            case Fate.FORGOTTEN:
                return journal.oldest_sequence
            case _:
                return place.sequence

    def _look(self) -> None:
        """Look for published entries, and for a new ring."""
        if self._is_closed:
            raise ValueError(f"this {type(self).__name__} is closed")
        follower = self._follower
        if not follower.lag:
            follower.attach_if_due()
        self._end = 0 if follower.journal is None else follower.journal.next_sequence
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem

    @contextmanager
    def _present_ring(self) -> Iterator[EntryRing[Item] | None]:
        """Provide the present ring, even while entries of its predecessor are still to be read."""
        self._look()
        ring = self.ring
        if ring is None or ring.is_live:
            yield ring
            return
        try:
            present = self._attach()
        except SharedMemoryError:
            yield ring
            return
        try:
            yield present
        finally:
            present.close()

    def _wait_for_entry(self, deadline: float) -> bool:
        """Wait until there may be an entry; returns False if the deadline has passed."""
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        if self._address is None:
            time.sleep(min(left_s, _LOOK_WITHOUT_DOORBELL_S))
            return True
        if self._doorbell is None:
            # Connect only now: each listener costs the writer a system call per entry.
            self._doorbell = Doorbell(self._address)
            return True
        self._doorbell.wait(min(left_s, _LOOK_S))
        return True


def _deadline(timeout_s: float | None) -> float:
    return float("inf") if timeout_s is None else time.monotonic() + timeout_s
