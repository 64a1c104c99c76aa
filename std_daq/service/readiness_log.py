"""ReadinessLog: the log of a service tells what it waits for, and when the wait is over."""

import time
from collections.abc import Callable

from std_daq.service.readiness import Readiness
from std_daq.telemetry.logs import get_logger

_LOOK_S = 1.0
_GRACE_S = 3.0  # services that start together wait for each other for a moment
_AGAIN_S = 10.0


class ReadinessLog:
    """Logs ``not_ready`` with the reason once it has lasted for a moment, and ``ready`` when it has ended.

    Another reason is logged at most every 10 s.

    Parameters
    ----------
    readiness
        What knows whether the service is ready.
    clock
        Returns monotonic time in seconds.
    """

    def __init__(self, readiness: Readiness, clock: Callable[[], float] = time.monotonic) -> None:
        self._readiness = readiness
        self._clock = clock
        self._look_s = 0.0
        self._since_s: float | None = None
        self._told: str | None = None
        self._told_s = 0.0

    def step(self) -> None:
        """Look whether there is something to tell, if it is time; to be called again and again."""
        now_s = self._clock()
        if now_s < self._look_s:
            return
        self._look_s = now_s + _LOOK_S
        why = self._readiness.why_not()
        if why is None:
            if self._told is not None and self._since_s is not None:
                get_logger().info("ready", after_s=round(now_s - self._since_s, 1))
            self._since_s = self._told = None
            return
        if self._since_s is None:
            self._since_s = now_s
        is_due = now_s - self._since_s >= _GRACE_S if self._told is None else now_s - self._told_s >= _AGAIN_S
        if is_due and why != self._told:
            self._told, self._told_s = why, now_s
            get_logger().warning("not_ready", why=why)
