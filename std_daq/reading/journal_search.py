"""Finds an image or an event in the journal of its ring by its id."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.shm.journal import Journal


class Fate(StrEnum):
    """The fate of an image or an event; the values are texts for messages."""

    PUBLISHED = "published"
    TO_COME = "still to come"
    NEVER_CAME = "never published, though later ones were"
    OVERWRITTEN = "overwritten"
    FORGOTTEN = "too old for the journal to know"


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """The result of a search in a journal.

    Attributes
    ----------
    fate
        Fate of the entry according to the entries that were searched; never OVERWRITTEN.
    sequence
        PUBLISHED: sequence number of the entry. NEVER_CAME: that of the entry before it, or of the first entry if there
        is none before it.
    oldest_id
        FORGOTTEN: the smallest id in the entries.
    """

    fate: Fate
    sequence: int = 0
    oldest_id: int = 0


def find_in_journal(journal: Journal, entry_id: int, n_entries: int) -> JournalPlace:
    """Search for the entry of an id in the newest ``n_entries`` of a journal, whose entries have ``id`` and ``epoch``.

    Ids begin again after a restart of the detector, so only entries of the newest epoch are searched. The last events
    of a run may be published after the first ones of the next.
    """
    entries = journal.read(max(0, journal.next_sequence - n_entries), n_entries).entries
    newest = entries[entries["epoch"] == entries["epoch"].max()] if len(entries) else entries
    if not len(newest) or entry_id > int(newest["id"][-1]):
        return JournalPlace(Fate.TO_COME)
    index = int(np.searchsorted(newest["id"], np.uint64(entry_id)))
    sequence = int(newest["sequence"][index])
    if int(newest["id"][index]) == entry_id:
        return JournalPlace(Fate.PUBLISHED, sequence)
    if index > 0:
        return JournalPlace(Fate.NEVER_CAME, int(newest["sequence"][index - 1]))
    if _has_beginning(entries, newest):
        return JournalPlace(Fate.NEVER_CAME, sequence)
    return JournalPlace(Fate.FORGOTTEN, oldest_id=int(newest["id"][0]))


def _has_beginning(entries: NDArray[Any], newest: NDArray[Any]) -> bool:
    """Return whether the first entry since the last restart is among the entries."""
    return len(newest) < len(entries) or int(newest["sequence"][0]) == 0
