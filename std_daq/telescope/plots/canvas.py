"""Canvas: where a figure is shown: in a window, in a notebook, or nowhere but in a PNG file."""

import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from std_daq.folders.new_file import NewFile
from std_daq.telescope.display import has_display

_DPI = 100


class Canvas:
    """Shows one figure, at most once per period.

    Parameters
    ----------
    title
        Title of the window.
    period_s
        Shortest time between two drawings.
    in_notebook
        Show it below the cell of a notebook.
    in_window
        Show it in a window; None: if there is a display, and no notebook.
    clock
        Returns monotonic time in seconds.
    """

    def __init__(
        self,
        title: str,
        period_s: float,
        *,
        in_notebook: bool = False,
        in_window: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._period_s = period_s
        self._clock = clock
        self._due_s = clock()
        self._handle: Any = None
        self._in_notebook = in_notebook
        self.in_window = not in_notebook and (has_display() if in_window is None else in_window)
        if self.in_window:
            pyplot = import_module("matplotlib.pyplot")
            pyplot.ion()
            self.figure: Figure = pyplot.figure(num=title)
            pyplot.show(block=False)
        else:
            self.figure = Figure()

    @property
    def is_due(self) -> bool:
        """Whether the time for the next drawing has come."""
        return self._clock() >= self._due_s

    @property
    def is_closed(self) -> bool:
        """Whether the user has closed the window."""
        return self.in_window and not import_module("matplotlib.pyplot").fignum_exists(self.figure.number)

    def show(self) -> None:
        """Show the figure as it is now; the next time is a period after the end of this drawing."""
        if self.in_window:
            self.figure.canvas.draw_idle()
            self.keep_alive()
        elif self._in_notebook:
            self._show_in_notebook()
        self._due_s = self._clock() + self._period_s

    def keep_alive(self) -> None:
        """Let the window answer to its user."""
        if self.in_window:
            self.figure.canvas.flush_events()

    def save(self, png: Path) -> None:
        """Write the figure into a file; a program that shows the file never reads a half-written one."""
        with NewFile(png) as new:
            self.figure.savefig(new.opened, format="png", dpi=_DPI)
            new.replace()

    def close(self) -> None:
        """Close the window."""
        if self.in_window:
            import_module("matplotlib.pyplot").close(self.figure)

    def _show_in_notebook(self) -> None:
        if self._handle is None:
            self._handle = import_module("IPython.display").display(self.figure, display_id=True)
        else:
            self._handle.update(self.figure)
