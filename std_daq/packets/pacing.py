"""Doing things at a rate."""

import time
from collections.abc import Callable


class Pacer:
    """Waits for deadlines that lie on a grid fixed by the first wait, so that the rate does not drift.

    A caller that is late is not made to wait until it has caught up; a lag above the bound is forgotten instead, so
    that a long stop is not followed by a long burst.

    Parameters
    ----------
    rate_hz
        Periods a second.
    max_lag_s
        The most that is caught up, in seconds.
    spin_s
        The last part of each wait, in seconds, is spent looking at the clock: a sleep ends later than asked for, by the
        kernel's timer slack (50 us) and a wake-up.
    sleep
        Sleeps for seconds; what it returns is true when waiting is to end at once, so
        ``threading.Event.wait`` makes a pacer that can be stopped.
    clock_ns
        Monotonic nanoseconds.

    Attributes
    ----------
    lag_s
        How late the last deadline was met, in seconds.
    forgotten_s
        All the lag that was given up, in seconds.
    """

    def __init__(
        self,
        rate_hz: float,
        *,
        max_lag_s: float = 0.05,
        spin_s: float = 100e-6,
        sleep: Callable[[float], object] = time.sleep,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if not 0 < rate_hz < float("inf"):
            raise ValueError(f"a rate is above 0 Hz and finite, not {rate_hz}")
        self._period_ns = 1e9 / rate_hz
        self._max_lag_ns = round(max_lag_s * 1e9)
        self._spin_ns = round(spin_s * 1e9)
        self._sleep = sleep
        self._clock_ns = clock_ns
        self._origin_ns: int | None = None
        self._n_periods = 0.0
        self.lag_s = 0.0
        self.forgotten_s = 0.0

    def wait(self, n_periods: float = 1.0) -> bool:
        """Wait for the deadline; the next one is `n_periods` later. The first wait returns at once.

        Returns
        -------
        bool
            Whether the deadline was waited for; false when `sleep` said to stop.
        """
        if self._origin_ns is None:
            self._origin_ns = self._clock_ns()
        deadline_ns = self._origin_ns + round(self._n_periods * self._period_ns)
        self._n_periods += n_periods
        now_ns = self._clock_ns()
        while now_ns < deadline_ns:
            left_ns = deadline_ns - now_ns
            if left_ns > self._spin_ns and self._sleep((left_ns - self._spin_ns) / 1e9):
                return False
            now_ns = self._clock_ns()
        self._note_lag(now_ns - deadline_ns)
        return True

    def _note_lag(self, lag_ns: int) -> None:
        """Move the grid if the lag is above the bound."""
        self.lag_s = lag_ns / 1e9
        forgotten_ns = lag_ns - self._max_lag_ns
        if forgotten_ns > 0 and self._origin_ns is not None:
            self._origin_ns += forgotten_ns
            self.forgotten_s += forgotten_ns / 1e9
