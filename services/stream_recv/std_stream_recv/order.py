"""Which of several sources comes next. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SourceProgress:
    """Where a source is in what all sources share.

    Parameters
    ----------
    ring
        The ring that it reads from; a newer one has a higher number.
    sequence
        The sequence number of its next entry; without one, the least that its next entry can have.
    has_entry
        Whether its next entry is there.
    """

    ring: int
    sequence: int
    has_entry: bool


def first_in_order(progresses: Sequence[SourceProgress | None]) -> int | None:
    """Return the source whose entry comes next; None while one of another may still have to come before it.

    Parameters
    ----------
    progresses
        Of all sources; None for one of which nothing is known.
    """
    least: int | None = None
    for source, progress in enumerate(progresses):
        if progress is None:
            return None
        if least is None or _precedes(progress, progresses[least]):
            least = source
    if least is None:
        return None
    progress = progresses[least]
    return least if progress is not None and progress.has_entry else None


def _precedes(one: SourceProgress, other: SourceProgress | None) -> bool:
    """Whether one comes before the other; of the same number, the entry before the one that is only promised."""
    if other is None:
        return True
    return (one.ring, one.sequence, not one.has_entry) < (other.ring, other.sequence, not other.has_entry)
