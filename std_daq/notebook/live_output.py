"""LiveOutput: what a cell of a notebook shows, replaced by newer contents in a thread."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from std_daq.extras import extras_explained

# Jupyter's servers withhold the output of a kernel that sends more than 1 MB a second; contents are sent as base64.
MAX_BYTES_PER_S = 500_000.0


@dataclass(frozen=True, slots=True)
class CellContent:
    """What a cell shows.

    Attributes
    ----------
    html
        A part of an HTML page. It loads nothing and has no script, so that it is seen wherever the notebook is.
    text
        The same in words, for a terminal.
    is_last
        Whether nothing newer will come.
    """

    html: str
    text: str
    is_last: bool = False

    def bundle(self) -> dict[str, str]:
        """Return the content by media types."""
        return {"text/html": self.html, "text/plain": self.text}


class LiveOutput:
    """Shows contents in the cell that is being executed, each in the place of the one before.

    Parameters
    ----------
    look
        Returns the newest content; None if it is that which is shown.
    name
        Name of the thread.
    """

    running: set["LiveOutput"] = set()  # noqa: RUF012 - those of this kernel share what may be sent in a second

    def __init__(self, look: Callable[[], CellContent | None], name: str) -> None:
        self._look = look
        self._name = name
        self._thread: threading.Thread | None = None
        self._is_ended = threading.Event()
        self._is_wanted = threading.Event()

    @property
    def is_live(self) -> bool:
        """Whether newer contents will be shown."""
        return self._thread is not None and self._thread.is_alive()

    def show(self, first: CellContent, *, period_s: float, seconds: float, paused: Callable[[], CellContent]) -> None:
        """Show a content in the cell that is being executed, and newer ones until this ends.

        Parameters
        ----------
        first
            The content.
        period_s
            Least time between two contents, in seconds.
        seconds
            How long newer ones are looked for.
        paused
            Returns what is shown from then on.

        Raises
        ------
        MissingExtraError
            IPython is not installed.
        """
        self.end()
        with extras_explained():
            from IPython.display import display
        handle = display(first.bundle(), raw=True, display_id=True)
        if first.is_last or handle is None:
            return
        self._is_ended = threading.Event()
        arguments = (self._is_ended, handle.update, len(first.html), period_s, time.monotonic() + seconds, paused)
        self._thread = threading.Thread(target=self._run, args=arguments, name=self._name, daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Look at once: what is wanted has changed."""
        self._is_wanted.set()

    def end(self, timeout_s: float = 1.0) -> None:
        """Show nothing newer; what is shown stays. A request that has no answer yet is not waited for longer."""
        self._is_ended.set()
        self._is_wanted.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        self._thread = None

    def _run(
        self,
        is_ended: threading.Event,
        update: Callable[..., None],
        n_bytes: int,
        period_s: float,
        until_s: float,
        paused: Callable[[], CellContent],
    ) -> None:
        self.running.add(self)
        try:
            while not is_ended.is_set():
                self._is_wanted.wait(max(period_s, n_bytes * len(self.running) / MAX_BYTES_PER_S))
                self._is_wanted.clear()
                is_over = time.monotonic() > until_s
                content = paused() if is_over else self._look()
                if is_ended.is_set():
                    return
                if content is not None:
                    update(content.bundle(), raw=True)
                    n_bytes = len(content.html)
                if is_over or (content is not None and content.is_last):
                    return
        finally:
            self.running.discard(self)
