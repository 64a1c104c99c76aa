"""Bars on standard error, as wide as the window allows, on terminals where lines can be written over."""

from typing import Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from std_daq.telemetry.terminal_console import TerminalConsole

_TIMES_FROM = 50  # columns


def progress_bars(times: Literal["none", "both"] = "both") -> Progress:
    """Return bars, each with its description and how many of how many are done.

    Parameters
    ----------
    times
        Whether the time gone and the time left are shown, too, if the window is wide enough.
    """
    console = TerminalConsole(is_error=True)
    has_times = times == "both" and console.width >= _TIMES_FROM
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *((TimeElapsedColumn(), TimeRemainingColumn()) if has_times else ()),
        console=console,
        expand=True,
        disable=not console.obeys_sequences,
    )
