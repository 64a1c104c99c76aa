"""ScanRecorder: requests the runs of a scan, follows them, and ends them."""

import asyncio
from asyncio import CancelledError
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ophyd_async.core import PathInfo, PathProvider

from std_daq.bluesky.file_documents import FileDocuments
from std_daq.bluesky.outcome import RunOutcomeError, check_outcome
from std_daq.client.daq_client import DaqClient
from std_daq.client.run import RequestedRun
from std_daq.errors import StdDaqError
from std_daq.recording.requests import Action, RunReport, StatusMessage

_POLL_S = 0.2
_END_TIMEOUT_S = 30.0


class ScanRecorder:
    """The runs of one detector while it is staged, one at a time.

    All methods belong to the event loop of bluesky; what waits for the broker does so in threads.

    Parameters
    ----------
    client
        The client of the detector.
    path_provider
        Says where the files of a scan go.
    request
        Further keys of each write request, such as ``compression``.

    Attributes
    ----------
    n_images
        Images that the next run is asked for; 0: until it is told to end.
    documents
        The documents of the scan; None until it is prepared.
    last_report
        Report of the run that ended last.
    """

    def __init__(self, client: DaqClient, path_provider: PathProvider, request: Mapping[str, Any]) -> None:
        self.n_images = 1
        self.documents: FileDocuments | None = None
        self.last_report: RunReport | None = None
        self._client = client
        self._path_provider = path_provider
        self._request = request
        self._path: PathInfo | None = None
        self._n_runs = 0
        self._run: RequestedRun | None = None
        self._following: asyncio.Task[RunReport] | None = None
        self._was_told_to_end = False
        self._failure: asyncio.Future[RunOutcomeError] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a run was requested that has not ended."""
        return self._following is not None and not self._following.done()

    @property
    def failure(self) -> "asyncio.Future[RunOutcomeError]":
        """Has a result as soon as a run fails with which the scan cannot go on; `stop` makes a new one."""
        if self._failure is None:
            self._failure = asyncio.get_running_loop().create_future()
        return self._failure

    def new_scan(self, documents: FileDocuments, name: str) -> None:
        """Begin a scan: its files get a name from the path provider, given the name of the detector."""
        self.documents = documents
        self._path = self._path_provider(name)
        self._n_runs = 0

    async def start(self) -> None:
        """Request a run, and wait until the agent has accepted it; the next image is then in it.

        Raises
        ------
        RunOutcomeError
            The request was refused.
        BrokerError
            The request could not be sent.
        """
        documents, path = self.documents, self._path
        if documents is None or path is None:
            raise RuntimeError("the detector was not prepared")
        self._n_runs += 1
        file_name = f"{path.filename}_{self._n_runs:06}.h5"
        self._was_told_to_end = False
        self._run = await self._send_request(str(path.directory_path / file_name))
        documents.begin_file(f"{path.directory_uri}{file_name}")
        accepted = asyncio.Event()
        self._following = asyncio.create_task(self._follow(self._run, documents, accepted))
        waiting = asyncio.create_task(accepted.wait())
        try:
            await asyncio.wait({waiting, self._following}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._following.done():
            check_outcome(self._following.result(), was_told_to_end=False)

    async def _send_request(self, output_file: str) -> RequestedRun:
        sending = asyncio.create_task(
            asyncio.to_thread(self._client.write, output_file, n_images=self.n_images or None, **self._request)
        )
        try:
            return await asyncio.shield(sending)
        except CancelledError:  # the request goes its way, and nobody will follow its run
            with suppress(StdDaqError):
                await asyncio.to_thread(_kill_and_close, await sending)
            raise

    async def wait_end(self) -> RunReport | None:
        """Wait until the run has ended; one without an end is told to. Returns its report; None if there is no run.

        Raises
        ------
        RunOutcomeError
            The scan cannot go on.
        """
        if self._following is None:
            return None
        if self.n_images == 0:
            await self._tell_to_end()
        report = await asyncio.shield(self._following)
        check_outcome(report, was_told_to_end=self._was_told_to_end)
        return report

    async def stop(self) -> None:
        """Kill the run, if there is one that has not ended, and wait until its files are closed.

        Raises
        ------
        TimeoutError
            The run has not ended in time.
        """
        if self._following is not None and not self._following.done():
            await self._tell_to_end()
            await asyncio.wait_for(asyncio.shield(self._following), _END_TIMEOUT_S)
            if self.documents is not None:
                self.documents.forget_file()
        self._following = None
        self._failure = None

    async def _tell_to_end(self) -> None:
        if self.is_running and self._run is not None:
            self._was_told_to_end = True
            await asyncio.to_thread(self._run.kill)

    async def _follow(self, run: RequestedRun, documents: FileDocuments, accepted: asyncio.Event) -> RunReport:
        """Follow a run to its end; returns its report."""
        try:
            while run.report is None:
                status = await asyncio.to_thread(run.poll, _POLL_S)
                if status is None:
                    continue
                if not status.action.is_final:
                    accepted.set()
                if status.action is Action.PROGRESS and not status.details.get("n_lost"):
                    documents.note_written(_n_written(status))
            report = run.report
        finally:
            with suppress(CancelledError):
                await asyncio.to_thread(run.close)
        self.last_report = report
        try:
            check_outcome(report, was_told_to_end=self._was_told_to_end)
        except RunOutcomeError as error:
            if not self.failure.done():
                self.failure.set_result(error)
        else:
            documents.note_written(report.n_written)
        return report


def _kill_and_close(run: RequestedRun) -> None:
    try:
        run.kill()
    finally:
        run.close()


def _n_written(status: StatusMessage) -> int:
    n_written = status.details.get("n_written", 0)
    return n_written if isinstance(n_written, int) else 0
