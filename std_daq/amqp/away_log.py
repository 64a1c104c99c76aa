"""Log lines about a broker that is unreachable: one per minute, and each new reason at once."""

import threading
import time
from collections.abc import Callable

from std_daq.telemetry.logs import get_logger

# Between two lines about a node that comes and goes; PERIOD_S is between two lines with the same reason.
MIN_PERIOD_S = 1.0
PERIOD_S = 60.0


class AwayLog:
    """Log for each node why it is unreachable: a new reason at once, the same reason once per minute.

    Several threads may share it.

    Parameters
    ----------
    patience_s
        Time from now for which a node that cannot be reached is not logged, because it may still be starting. A node
        that refuses the connection is logged at once.
    clock
        Returns monotonic time in seconds.
    """

    def __init__(self, patience_s: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._patient_until = clock() + patience_s
        self._told: dict[str, tuple[str | None, float]] = {}
        self._lock = threading.Lock()
        self._log = get_logger()

    def note_connected(self, node: str) -> None:
        """Note that a node is connected; its next failure is then logged at once, even if the reason is the same."""
        with self._lock:
            self._patient_until = self._clock()
            if node in self._told:
                self._told[node] = (None, self._told[node][1])

    def note_away(self, node: str, reason: str, *, is_refused: bool = False) -> None:
        """Note that a node cannot be used, and log the reason if a line is due."""
        now = self._clock()
        if now < self._patient_until and not is_refused:
            return
        with self._lock:
            last_reason, told_at = self._told.get(node, (None, -PERIOD_S))
            is_due = now - told_at >= (PERIOD_S if reason == last_reason else MIN_PERIOD_S)
            if is_due:
                self._told[node] = (reason, now)
        if is_due:
            self._log.warning("broker_away", broker=node, reason=reason)
