"""RunGroup: one request for several detectors, with one verdict."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from std_daq.client.daq_client import DaqClient
from std_daq.client.run import RequestedRun
from std_daq.errors import BrokerError, RequestRefusedError
from std_daq.recording.requests import RunReport, StatusMessage, Verdict

DETECTOR_FIELD = "{detector}"
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class GroupReport:
    """How a request for several detectors has ended.

    Attributes
    ----------
    verdict
        The worst of the detectors' verdicts: complete, incomplete, killed, failed, refused.
    reason
        Each detector that is not complete, with its verdict and reason.
    reports
        Report of each detector, by its name.
    """

    verdict: Verdict
    reason: str
    reports: Mapping[str, RunReport]

    @classmethod
    def of_reports(cls, reports: Mapping[str, RunReport]) -> Self:
        """Sum up the reports of all detectors."""
        verdict = max((report.verdict for report in reports.values()), key=lambda verdict: verdict.exit_code)
        worst_first = sorted(reports.items(), key=lambda item: -item[1].verdict.exit_code)
        parts = [
            f"{name} is {report.verdict}{f': {report.reason}' if report.reason else ''}"
            for name, report in worst_first
            if report.verdict is not Verdict.COMPLETE
        ]
        return cls(verdict, "; ".join(parts), dict(reports))

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        detectors = {name: report.model_dump(mode="json") for name, report in self.reports.items()}
        return {"verdict": str(self.verdict), "reason": self.reason, "detectors": detectors}


class RunGroup:
    """A context manager that follows the runs of several detectors as one.

    If a detector refuses its request, the runs of the others are killed: nobody asked for a part of the detectors. If a
    run fails later, the others go on, and keep what they get.

    Parameters
    ----------
    runs
        Run of each detector, by its name.

    Attributes
    ----------
    runs
        The same.
    """

    def __init__(self, runs: Mapping[str, RequestedRun]) -> None:
        self.runs = dict(runs)
        self._is_abandoned = False

    @property
    def report(self) -> GroupReport | None:
        """The report; None until the runs of all detectors have ended."""
        reports = {name: run.report for name, run in self.runs.items() if run.report is not None}
        return GroupReport.of_reports(reports) if len(reports) == len(self.runs) else None

    def poll(self) -> list[tuple[str, StatusMessage]]:
        """Return the statuses that have come, each with the name of its detector; wait a moment for them.

        Raises
        ------
        BrokerError
            A detector has refused, and the kill of another one could not be sent.
        """
        heard = []
        for name, run in self.runs.items():
            if run.report is None:
                status = run.poll(_POLL_S)
                if status is not None:
                    heard.append((name, status))
        reports = (run.report for run in self.runs.values())
        if not self._is_abandoned and any(report and report.verdict is Verdict.REFUSED for report in reports):
            self._is_abandoned = True
            self.kill()
        return heard

    def wait(
        self, timeout_s: float | None = None, on_progress: Callable[[str, StatusMessage], None] | None = None
    ) -> GroupReport:
        """Wait until all runs have ended, then stop listening.

        Parameters
        ----------
        timeout_s
            The longest wait; None waits without a limit.
        on_progress
            Called with the name of the detector and each status that arrives.

        Raises
        ------
        TimeoutError
            A run has not ended in time; all go on.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (report := self.report) is None:
            if deadline is not None and time.monotonic() >= deadline:
                late = [name for name, run in self.runs.items() if run.report is None]
                raise TimeoutError(f"runs of {', '.join(late)} have not ended within {timeout_s} s")
            for name, status in self.poll():
                if on_progress is not None:
                    on_progress(name, status)
        self.close()
        return report

    def kill(self) -> None:
        """Kill the runs of all detectors; all kills are sent, also if one of them cannot be.

        Raises
        ------
        BrokerError
            A broker did not take a kill; the message names the detectors.
        """
        problems = []
        for name, run in self.runs.items():
            if run.report is None:
                try:
                    run.kill()
                except BrokerError as error:
                    problems.append(f"{name}: {error}")
        if problems:
            raise BrokerError(f"not all runs were told to end: {'; '.join(problems)}")

    def close(self) -> None:
        """Stop listening; runs that have not ended go on."""
        for run in self.runs.values():
            run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def clients_by_name(clients: Sequence[DaqClient]) -> dict[str, DaqClient]:
    """Return clients by the names of their detectors.

    Raises
    ------
    RequestRefusedError
        There is no client, or two of them have one name.
    """
    if not clients:
        raise RequestRefusedError("no detector is given; give the client of at least one")
    names = [client.config.name for client in clients]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RequestRefusedError(f"two configurations have the detector_name {twice[0]!r}; each needs its own")
    return dict(zip(names, clients, strict=True))


def write_together(clients: Sequence[DaqClient], output_file: Path | str, **fields: Any) -> RunGroup:
    """Request that several detectors write, each to its own file, and return their runs as one.

    Parameters
    ----------
    clients
        A client for each detector.
    output_file
        Path of the files, with ``{detector}`` in the place of the detector's name.
    fields
        As in `DaqClient.write`; the same for all detectors.

    Raises
    ------
    RequestRefusedError
        The arguments are not a valid request, the path has no ``{detector}``, there is no detector, or two detectors
        have one name.
    BrokerError
        A request could not be sent; those that were sent before are killed.
    """
    of_names = clients_by_name(clients)
    if len(clients) > 1 and DETECTOR_FIELD not in str(output_file):
        raise RequestRefusedError(
            f"output_file {str(output_file)!r}: put {DETECTOR_FIELD} into it, for each detector writes its own file"
        )
    runs: dict[str, RequestedRun] = {}
    with ExitStack() as undo:
        for name, client in of_names.items():
            runs[name] = client.write(str(output_file).replace(DETECTOR_FIELD, name), **fields)
            undo.callback(_kill_and_close, runs[name])
        undo.pop_all()
    return RunGroup(runs)


def _kill_and_close(run: RequestedRun) -> None:
    try:
        run.kill()
    finally:
        run.close()
