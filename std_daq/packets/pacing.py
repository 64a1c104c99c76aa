"""Pacing: repeating an action at a fixed rate."""

import time
from collections.abc import Callable


class Pacer:
    """Wait for deadlines on a fixed time grid, so that the rate does not drift.

    The first wait sets the origin of the grid. While the caller is late, `wait` returns at once until the caller has
    caught up. Lag above `max_lag_s` is not caught up but forgotten: the grid moves, so that a long stop is not followed
    by a long burst.

    Parameters
    ----------
    rate_hz
        Periods per second.
    max_lag_s
        Largest lag that is caught up, in seconds.
    spin_s
        Last part of each wait, in seconds, during which the pacer polls the clock instead of sleeping. A sleep ends
        later than asked for, because of the kernel's timer slack (50 us) and the wake-up.
    sleep
        Sleeps for a number of seconds; a true result stops the wait at once. With ``threading.Event.wait`` the event
        stops the pacer.
    clock_ns
        Returns monotonic time in nanoseconds.

    Attributes
    ----------
    lag_s
        How late the last wait ended, in seconds.
    forgotten_s
        Sum of the lag that was forgotten, in seconds.
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
            raise ValueError(f"a rate must be above 0 Hz and finite, not {rate_hz}")
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
        """Wait for the deadline, and set the next one `n_periods` later. The first wait returns at once.

        Returns
        -------
        bool
            Whether the deadline has passed; False if `sleep` stopped the wait.
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
        """Record the lag, and move the grid if the lag is above the bound."""
        self.lag_s = lag_ns / 1e9
        forgotten_ns = lag_ns - self._max_lag_ns
        if forgotten_ns > 0 and self._origin_ns is not None:
            self._origin_ns += forgotten_ns
            self.forgotten_s += forgotten_ns / 1e9
