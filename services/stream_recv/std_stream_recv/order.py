"""Order of entries from several sources: decides which source has the next entry. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SourceProgress:
    """Position of a source in the journal that all sources share.

    Parameters
    ----------
    ring
        Ring from which the source reads; a newer ring has a higher number.
    sequence
        Sequence number of its next entry. If that has not come, the lowest number that it can have.
    has_entry
        Whether the next entry has come.
    """

    ring: int
    sequence: int
    has_entry: bool


def first_in_order(progresses: Sequence[SourceProgress | None]) -> int | None:
    """Return the index of the source with the next entry; None while another source may still bring an earlier one.

    Parameters
    ----------
    progresses
        Positions of all sources; None for a source whose position is not known.
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
    """Return whether one source comes before the other; at the same number, the one whose entry has come is first."""
    if other is None:
        return True
    return (one.ring, one.sequence, not one.has_entry) < (other.ring, other.sequence, not other.has_entry)
