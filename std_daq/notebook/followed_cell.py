"""FollowedCell: something of a console that a cell of a notebook shows and follows."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self

from std_daq.notebook.console_client import ConsoleClient
from std_daq.notebook.live_output import CellContent, LiveOutput


class FollowedCell(ABC):
    """As the last value of a cell, it is shown there, and newer contents take the place of the one before.

    Parameters
    ----------
    console
        The console that is asked.
    period_s
        Least time between two contents, in seconds.
    seconds
        How long newer ones are looked for.
    """

    PAUSED: ClassVar = "not live: execute the cell again"

    def __init__(self, console: ConsoleClient, *, period_s: float, seconds: float) -> None:
        self._console = console
        self._period_s = period_s
        self._seconds = seconds
        self._output = LiveOutput(self._look, f"{type(self).__name__} of {console.detector}")

    @property
    def is_live(self) -> bool:
        """Whether the cell is followed by newer contents."""
        return self._output.is_live

    def close(self) -> None:
        """Look for nothing newer; what the cell shows stays."""
        self._output.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._console.url!r}, {self._console.detector!r})"

    def _ipython_display_(self) -> None:
        """Show it in the cell that is being executed, and follow it there; IPython calls it."""
        self._output.end()
        self._begin()
        first = self._look()
        assert first is not None  # noqa: S101 - nothing is shown yet
        self._output.show(first, period_s=self._period_s, seconds=self._seconds, paused=self._paused)

    def _repr_html_(self) -> str:
        """Return it as it is, for programs that show HTML."""
        self._begin()
        content = self._look()
        return "" if content is None else content.html

    @abstractmethod
    def _begin(self) -> None:
        """Forget what is shown, so that the next look shows something."""

    @abstractmethod
    def _look(self) -> CellContent | None:
        """Return the newest content, or None if it is that which is shown."""

    @abstractmethod
    def _paused(self) -> CellContent:
        """Return what is shown when it is followed no more."""
