"""How much room the disks of the output roots have, and how long it lasts."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from std_daq.client.scrape import Scrape, merge_by_label

_FREE = "daq_disk_free_bytes"
_SIZE = "daq_disk_size_bytes"
_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """The room at one output root.

    Parameters
    ----------
    root
        The folder.
    free_bytes, size_bytes
        What is left on its disk, and how large this is.
    lasts_s
        Time until it is full if the writers go on as in the last seconds; None while they write nothing.
    """

    root: str
    free_bytes: int
    size_bytes: int
    lasts_s: float | None


class DiskForecast:
    """Tells how long disks last, from the rate at which the writers write over a minute."""

    def __init__(self) -> None:
        self._rates: deque[tuple[float, float]] = deque()

    def look(self, time_s: float, scrapes: Iterable[Scrape], bytes_per_s: float | None) -> list[DiskRoom]:
        """Return the room of all roots at a time, in seconds since 1970."""
        self._rates.append((time_s, bytes_per_s or 0.0))
        while self._rates[0][0] < time_s - _WINDOW_S:
            self._rates.popleft()
        mean = sum(rate for _, rate in self._rates) / len(self._rates)
        answers = list(scrapes)
        sizes = merge_by_label(answers, _SIZE, "root")
        return [
            DiskRoom(root, int(free), int(sizes.get(root, 0)), free / mean if mean > 0 and bytes_per_s else None)
            for root, free in sorted(merge_by_label(answers, _FREE, "root").items())
        ]
