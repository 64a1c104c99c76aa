"""Which of several sources comes next. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
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


def first_in_order(places: Sequence[Place | None]) -> int | None:
    """Return the source whose entry comes next; None while one of another may still have to come before it.

    Parameters
    ----------
    places
        Of all sources; None for one of which nothing is known.
    """
    least: int | None = None
    for source, place in enumerate(places):
        if place is None:
            return None
        if least is None or _precedes(place, places[least]):
            least = source
    if least is None:
        return None
    place = places[least]
    return least if place is not None and place.has_entry else None


def _precedes(one: Place, other: Place | None) -> bool:
    """Whether one comes before the other; of the same number, the entry before the one that is only promised."""
    if other is None:
        return True
    return (one.ring, one.sequence, not one.has_entry) < (other.ring, other.sequence, not other.has_entry)
