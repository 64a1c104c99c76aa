"""LostEntries: the images or events that a reader has lost because they were overwritten before it had read them."""

from collections import deque
from collections.abc import Iterable

from std_daq.recording.id_ranges import format_id_ranges

MAX_IDS = 65_536
_MAX_CHARS = 200


class LostEntries:
    """The lost images or events of one reader.

    Parameters
    ----------
    noun
        What one is called, for the text: ``image`` or ``event``.

    Attributes
    ----------
    n
        Number of them.
    n_unnamed
        Number of those whose ids are unknown, because their entries in the journal were overwritten, too.
    ids
        Ids of the others, in order; at most the newest 65536.
    """

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self.n = 0
        self.n_unnamed = 0
        self.ids: deque[int] = deque(maxlen=MAX_IDS)

    def add(self, ids: Iterable[int], n_unnamed: int = 0) -> None:
        """Add lost ones: those with the given ids, and ``n_unnamed`` without known ids."""
        named = list(ids)
        self.ids.extend(named)
        self.n += len(named) + n_unnamed
        self.n_unnamed += n_unnamed

    def __str__(self) -> str:
        if not self.n:
            return f"no {self._noun} was lost"
        text, n_left_out = format_id_ranges(self.ids, _MAX_CHARS)
        n_others = n_left_out + self.n - len(self.ids)
        return f"{self.n} lost: {text}" + (f" and {n_others} others" if n_others else "")
