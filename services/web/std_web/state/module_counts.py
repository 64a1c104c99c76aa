"""What each module has sent and lost, over the last minute and altogether."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from std_daq.client.scrape import Scrape, merge_by_label

COUNTERS = {
    "received": "daq_udp_packets_received_total",
    "lost": "daq_udp_packets_lost_total",
    "kernel_drops": "daq_udp_kernel_drops_total",
    "rejected": "daq_udp_packets_rejected_total",
    "frames_complete": "daq_udp_frames_complete_total",
    "frames_incomplete": "daq_udp_frames_incomplete_total",
    "out_of_step": "daq_image_modules_out_of_step_total",
}
FRAMES_AHEAD = "daq_udp_frames_ahead"

_STEP_S = 5.0  # between two counts that are kept

Counts = Mapping[str, Mapping[str, float]]
"""Counters by name, each by module."""


@dataclass(frozen=True, slots=True)
class ModuleCounts:
    """Packets and frames of one module.

    Parameters
    ----------
    module
        Index of the module.
    total
        Counts since the start of its receiver.
    recent
        Counts of the last minute.
    frames_ahead
        By how many frames it counts ahead of the others; 0: it counts like them.
    """

    module: int
    total: dict[str, int]
    recent: dict[str, int]
    frames_ahead: int


class ModuleWatch:
    """Compares the counters of modules with those of a minute ago.

    Parameters
    ----------
    window_s
        How far it looks back, in seconds.
    """

    def __init__(self, window_s: float = 60.0) -> None:
        self._window_s = window_s
        self._before: deque[tuple[float, Counts]] = deque()

    def look(self, time_s: float, scrapes: Iterable[Scrape], n_modules: int) -> list[ModuleCounts]:
        """Return the counts of all modules at a time, in seconds since 1970."""
        answers = list(scrapes)
        now = {name: merge_by_label(answers, metric, "module") for name, metric in COUNTERS.items()}
        ahead = merge_by_label(answers, FRAMES_AHEAD, "module")
        if len(self._before) > 1 and self._before[-1][0] - self._before[-2][0] < _STEP_S:
            self._before.pop()
        self._before.append((time_s, now))
        while len(self._before) > 1 and self._before[0][0] < time_s - self._window_s:
            self._before.popleft()
        known = {int(module) for counts in now.values() for module in counts if module.isdigit()}
        return [self._of(module, now, int(ahead.get(str(module), 0))) for module in sorted({*range(n_modules), *known})]

    def _of(self, module: int, now: Counts, ahead: int) -> ModuleCounts:
        key = str(module)
        total = {name: int(counts.get(key, 0)) for name, counts in now.items()}
        return ModuleCounts(module, total, {name: self._grown(name, key) for name in now}, ahead)

    def _grown(self, name: str, key: str) -> int:
        """Return by how much a counter has grown in the window; it begins at 0 again when a service restarts."""
        grown = 0.0
        values = [counts.get(name, {}).get(key) for _, counts in self._before]
        for before, after in pairwise(values):
            if before is not None and after is not None:
                grown += after - before if after >= before else after
        return int(grown)
