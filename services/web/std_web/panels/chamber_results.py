"""ChamberResults: the newest result of the analysis, and the histograms of all that have come."""

import threading
import time
from collections.abc import Callable

from std_daq.tpc.histograms.message import HistogramMessage, Scope
from std_daq.tpc.histograms.recent_histograms import RecentHistograms
from std_daq.tpc.histograms.run_histograms import RunHistograms
from std_daq.tpc.reconstruction.results import EventResult
from std_daq.tpc.view.results_source import TakenResult

WINDOW_S = 600.0


class ChamberResults:
    """What has come of the analysis since the console started; one thread adds, any thread reads.

    Parameters
    ----------
    clock
        Returns monotonic time in seconds.

    Attributes
    ----------
    newest
        The result of the newest event; None before the first.
    n_results
        Results that have come.
    n_missed
        Results that were published and did not come.
    n_left_out
        Events that the analysis left out.
    n_resets
        How often the histograms have begun anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.newest: EventResult | None = None
        self.n_results = 0
        self.n_missed = 0
        self.n_left_out = 0
        self.n_resets = 0
        self._clock = clock
        self._runs = RunHistograms()
        self._recent = RecentHistograms(WINDOW_S)
        self._lock = threading.Lock()

    @property
    def version(self) -> tuple[int, int, int]:
        """It changes when the histograms do, but for events that leave the last minutes."""
        return self.n_results, self.n_left_out + self.n_missed, self.n_resets

    def take(self, taken: TakenResult) -> None:
        """Take a result, and count what is missing before it."""
        result, now_s = taken.result, self._clock()
        n_without = taken.n_missed + taken.n_left_out
        with self._lock:
            # The newest event is analysed first, and older ones when there is time for them.
            if self.newest is None or result.built_ns >= self.newest.built_ns:
                self.newest = result
            if n_without:
                self._runs.leave_out(result.epoch, n_without)
                self._recent.leave_out(now_s, n_without)
            self._runs.add(result.epoch, result.estimates)
            self._recent.add(result.estimates, now_s)
            self.n_results += 1
            self.n_missed += taken.n_missed
            self.n_left_out += taken.n_left_out

    def reset(self) -> None:
        """Begin the histograms of the newest run, and those of the last minutes, again from 0."""
        with self._lock:
            self._runs.reset()
            self._recent.reset()
            self.n_resets += 1

    def histograms(self, scope: Scope) -> HistogramMessage:
        """Return a copy of the histograms."""
        with self._lock:
            if scope == "run":
                return HistogramMessage.of_run(self._runs.epoch, self._runs.current).copy()
            return HistogramMessage.of_window(WINDOW_S, self._recent.current(self._clock())).copy()
