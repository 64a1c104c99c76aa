"""The progress of a simulation on standard error: a bar on a terminal, otherwise a log line every few seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from std_daq.telemetry.logs import get_logger

_LOG_PERIOD_S = 5.0


@contextmanager
def progress_of(n_events: int | None, *, is_shown: bool) -> Iterator[Callable[[], None]]:
    """Show how many events have their replies; yields what is called for each of them.

    Parameters
    ----------
    n_events
        Number of events; None if it is not known.
    is_shown
        Whether there is a bar at all.
    """
    if not is_shown:
        yield lambda: None
        return
    from std_daq.telemetry.progress_bars import progress_bars

    with progress_bars() as bars:
        if bars.disable:
            yield _lines(n_events)
        else:
            task = bars.add_task("events", total=n_events)
            yield lambda: bars.advance(task)


def _lines(n_events: int | None) -> Callable[[], None]:
    """Return what counts events and logs their number every few seconds."""
    n_done, next_s = 0, time.monotonic() + _LOG_PERIOD_S

    def advance() -> None:
        nonlocal n_done, next_s
        n_done += 1
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + _LOG_PERIOD_S
            get_logger().info("events_simulated", n_done=n_done, n_events=n_events)

    return advance
