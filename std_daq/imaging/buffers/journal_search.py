"""Finds an image in the journal of an ImageBuffer by its id."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.shm.journal import Journal


class Fate(StrEnum):
    """The fate of an image; the values are texts for messages."""

    PUBLISHED = "published"
    TO_COME = "still to come"
    NEVER_CAME = "never published, though later images were"
    OVERWRITTEN = "overwritten"
    FORGOTTEN = "too old for the journal to know"


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """The result of a search in a journal.

    Attributes
    ----------
    fate
        Fate of the image according to the entries that were searched; never OVERWRITTEN.
    sequence
        PUBLISHED: sequence number of the image. NEVER_CAME: that of the image before it, or of the first image if there
        is none before it.
    oldest_id
        FORGOTTEN: the smallest id in the entries.
    """

    fate: Fate
    sequence: int = 0
    oldest_id: int = 0


def find_in_journal(journal: Journal, image_id: int, n_entries: int) -> JournalPlace:
    """Search for an image in the newest ``n_entries`` of a journal.

    Ids begin again after a restart of the detector, so only images since the last restart are searched.
    """
    entries = journal.read(max(0, journal.next_sequence - n_entries), n_entries).entries
    newest = entries[entries["epoch"] == entries["epoch"][-1]] if len(entries) else entries
    if not len(newest) or image_id > int(newest["id"][-1]):
        return JournalPlace(Fate.TO_COME)
    index = int(np.searchsorted(newest["id"], np.uint64(image_id)))
    sequence = int(newest["sequence"][index])
    if int(newest["id"][index]) == image_id:
        return JournalPlace(Fate.PUBLISHED, sequence)
    if index > 0:
        return JournalPlace(Fate.NEVER_CAME, int(newest["sequence"][index - 1]))
    if _has_beginning(entries, newest):
        return JournalPlace(Fate.NEVER_CAME, sequence)
    return JournalPlace(Fate.FORGOTTEN, oldest_id=int(newest["id"][0]))


def _has_beginning(entries: NDArray[Any], newest: NDArray[Any]) -> bool:
    """Return whether the first image since the last restart is among the entries."""
    return len(newest) < len(entries) or int(newest["sequence"][0]) == 0
