"""A progress bar of events on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    from std_daq.telemetry.terminal_console import TerminalConsole

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=TerminalConsole(is_error=True)) as bar:
        task = bar.add_task("events", total=n_events)
        yield lambda: bar.advance(task)
