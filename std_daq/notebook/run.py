"""Run: a run in a cell of a notebook, as a console knows it; wait_for: one of a client, until it ends."""

import html
import time
from pathlib import Path

from std_daq.client.run import RequestedRun
from std_daq.client.run_facts import RunFacts
from std_daq.errors import ConsoleError
from std_daq.extras import extras_explained
from std_daq.notebook.console_client import ConsoleClient
from std_daq.notebook.followed_cell import FollowedCell
from std_daq.notebook.live_output import CellContent
from std_daq.recording.requests import RunReport, StatusMessage

_PERIOD_S = 1.0
_NO_RUN = "no run was asked for yet"


class Run(FollowedCell):
    """A run, from a console; as the last value of a cell, it is shown and followed to its end.

    The cell shows state, progress, verdict, file, and a plot of the images that are lost or incomplete. All of it stays
    in the notebook.

    Parameters
    ----------
    url
        URL of the console, such as ``http://daq-server:5000``.
    detector
        Name of the detector.
    request_id
        Id of the request; None: the newest run, and the one that comes after it once the cell is executed again.
    seconds
        How long the cell follows the run.
    token_file
        File with the token of the console, if it needs one for reading.

    Raises
    ------
    ConsoleError
        ``url`` is not the URL of a console. One that is not there is told in the cell.
    """

    def __init__(
        self,
        url: str,
        detector: str,
        request_id: str | None = None,
        *,
        seconds: float = 24 * 3600.0,
        token_file: Path | str | None = None,
    ) -> None:
        super().__init__(ConsoleClient(url, detector, token_file), period_s=_PERIOD_S, seconds=seconds)
        self.request_id = request_id
        self._shown: CellContent | None = None
        self._followed = request_id

    def facts(self) -> RunFacts:
        """Return what the console knows of the run.

        Raises
        ------
        ConsoleError
            The console gives no answer, or knows no such run.
        """
        request_id = self._followed or self._newest()
        document = self._console.document(f"/runs/{request_id}")
        try:
            facts = RunFacts.of_document(document)
        except ValueError as error:
            raise ConsoleError(f"{self._console.url} is no console: {error}") from None
        self._followed = request_id
        return facts

    def __repr__(self) -> str:
        return f"Run({self._console.url!r}, {self._console.detector!r}, {self._followed!r})"

    def _begin(self) -> None:
        self._shown = None
        self._followed = self.request_id

    def _newest(self) -> str:
        runs = self._console.document("/runs", {"limit": 1}).get("runs")
        if not isinstance(runs, list):
            raise ConsoleError(f"{self._console.url} is no console: its answer is not a list of runs")
        if not runs:
            raise ConsoleError(_NO_RUN)
        return str(runs[0]["request_id"])

    def _look(self) -> CellContent | None:
        try:
            facts = self.facts()
            content = CellContent(facts.as_html(), facts.in_words(), is_last=facts.is_ended)
        except ConsoleError as error:
            content = self._complaint(str(error))
        if content == self._shown:
            return None
        self._shown = content
        return content

    def _paused(self) -> CellContent:
        return self._complaint(self.PAUSED)

    def _complaint(self, words: str) -> CellContent:
        return CellContent(f"<p>{html.escape(self._console.detector)}: {html.escape(words)}</p>", words)


def wait_for(run: RequestedRun, timeout_s: float | None = None) -> RunReport:
    """Wait for the end of a run that a client has asked for, and show its progress in the cell meanwhile.

    Parameters
    ----------
    run
        The run, as `DaqClient.write` returns it.
    timeout_s
        The longest wait, in seconds. None waits without a limit.

    Returns
    -------
    RunReport
        The verdict, the counts and the files.

    Raises
    ------
    TimeoutError
        The run has not ended in time and continues; wait again, or kill the run.
    MissingExtraError
        IPython is not installed.
    """
    with extras_explained():
        from IPython.display import display
    handle = display(run, display_id=True)
    shown_s = time.monotonic()

    def show(status: StatusMessage) -> None:
        nonlocal shown_s
        if handle is not None and (status.action.is_final or time.monotonic() - shown_s >= _PERIOD_S / 2):
            handle.update(run)
            shown_s = time.monotonic()

    try:
        return run.wait(timeout_s, show)
    finally:
        if handle is not None:
            handle.update(run)
