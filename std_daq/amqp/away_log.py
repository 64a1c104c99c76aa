"""Log lines of a broker that is away: few enough for an outage of a week, and each new reason at once."""

import time
from collections.abc import Callable

from std_daq.telemetry.logs import get_logger

# Of a node that comes and goes.
SHORTEST_PERIOD_S = 1.0
PERIOD_S = 60.0


class AwayLog:
    """Tells of each node that it is away: a new reason at once, the same one each minute.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, tuple[str | None, float]] = {}
        self._log = get_logger()

    def note_connected(self, node: str) -> None:
        """Note that a node serves, so that the next time that it is away is told whatever the reason."""
        if node in self._told:
            self._told[node] = (None, self._told[node][1])

    def note_away(self, node: str, reason: str) -> None:
        """Note that a node does not serve."""
        now = self._clock()
        last_reason, told_at = self._told.get(node, (None, -PERIOD_S))
        if now - told_at >= (PERIOD_S if reason == last_reason else SHORTEST_PERIOD_S):
            self._told[node] = (reason, now)
            self._log.warning("broker_away", broker=node, reason=reason)
