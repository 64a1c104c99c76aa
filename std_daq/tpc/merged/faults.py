"""Faults of events: boards that are missing, and frames that were not kept."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from std_daq.recording.fault_words import describe_counts
from std_daq.recording.requests import FaultCount

MISSING_BOARDS = "missing_boards"
NO_FRAMES = "no_frames"
_WORDS = {MISSING_BOARDS: "missing boards", NO_FRAMES: "frames that the ring did not keep"}


def describe_event_faults(faults: Mapping[str, FaultCount]) -> str:
    """Return the faults of a run in words: "2 events with missing boards (board [3, 1])"."""
    return describe_counts(faults, _WORDS, "event")


class EventFaultCounter:
    """Counts the events that are not complete, and the boards that they miss.

    Attributes
    ----------
    n_images
        Events that are not complete; the name is that of the report, which counts images or events.
    """

    def __init__(self) -> None:
        self.n_images = 0
        self._n_missing = self._n_without_frames = 0
        self._boards: Counter[tuple[int, int]] = Counter()

    def add(self, missing_boards: NDArray[np.uint8], n: int = 1, *, is_without_frames: bool = False) -> None:
        """Count an event that misses these boards, rows (cobo, asad), or its frames; ``n`` is -1 to take one back."""
        self.n_images += n
        self._n_missing += n * (len(missing_boards) > 0)
        self._n_without_frames += n * is_without_frames
        for cobo, asad in missing_boards.tolist():
            self._boards[cobo, asad] += n

    @property
    def faults(self) -> dict[str, FaultCount]:
        """The counts by the name of the fault."""
        boards = tuple(sorted(board for board, n in self._boards.items() if n > 0))
        counts = {
            MISSING_BOARDS: FaultCount(n_images=self._n_missing, boards=boards),
            NO_FRAMES: FaultCount(n_images=self._n_without_frames),
        }
        return {name: count for name, count in counts.items() if count.n_images}
