"""MissingEntry: stands for an image or an event that is not in the ring."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from std_daq.reading.journal_search import Fate


@dataclass(frozen=True, slots=True)
class MissingEntry:
    """Stands for an entry that is not in the ring; its truth value is False.

    Attributes
    ----------
    noun
        What an entry of this ring is called, for example ``image``.
    id
        The requested id.
    fate
        Why it is not in the ring.
    """

    noun: ClassVar[str] = "entry"

    id: int
    fate: Fate

    def __bool__(self) -> Literal[False]:
        return False

    def __str__(self) -> str:
        return f"{self.noun} {self.id}: {self.fate}"
