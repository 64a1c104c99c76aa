"""Validation of merged files of any layout: completeness, consistency and readability."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from std_daq.errors import FileFormatError
from std_daq.recording.problem import HasProblems, Problem
from std_daq.recording.requests import RunReport, Verdict
from std_daq.tpc.merged import layout
from std_daq.tpc.merged.checksums import checksum_of_event
from std_daq.tpc.merged.event import MergedEvent
from std_daq.tpc.merged.event_log import log_path
from std_daq.tpc.merged.layout import Layout
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.merged.trace_checks import find_faults

_MANY_IDS = 20


@dataclass(slots=True)
class MergedReport(HasProblems):
    """Result of `validate_merged`.

    Attributes
    ----------
    path, layout, version
        Path of the file, its layout, and its version text.
    n_events, n_events_read
        Events in the file, and those whose traces were read.
    n_traces
        Traces of the events that were read.
    n_with_frib
        Events that were read, and have data of the other acquisition.
    verdict, reason, n_requested, n_lost, lost_event_ids
        What the report of the run says; empty or None in files of other programs.
    n_incomplete
        Events that are not complete; None if the file does not tell.
    missing_boards
        How many events miss each board, by ``"[cobo, asad]"``.
    first_id, last_id
        Ids of the first and of the last event.
    epochs
        Epochs of the events.
    problems
        Problems that were found.
    """

    path: str
    layout: str = ""
    version: str = ""
    n_events: int = 0
    n_events_read: int = 0
    n_traces: int = 0
    n_with_frib: int = 0
    verdict: str = ""
    reason: str = ""
    n_requested: int | None = None
    n_incomplete: int | None = None
    n_lost: int | None = None
    lost_event_ids: list[int] = field(default_factory=list)
    missing_boards: dict[str, int] = field(default_factory=dict)
    first_id: int | None = None
    last_id: int | None = None
    epochs: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object that can be written as JSON."""
        return {"is_valid": self.is_valid, **asdict(self)}

    def lines(self) -> Iterable[str]:
        """Yield the report as lines for a person."""
        yield f"layout    {self.layout}{f', {self.version}' if self.version else ''}"
        if self.verdict:
            yield f"run       {self.verdict}{': ' if self.reason else ''}{self.reason}"
        wanted = "" if self.n_requested is None else f" of {self.n_requested}"
        yield f"events    {self.n_events}{wanted}, traces of {self.n_events_read} read: {self.n_traces}"
        if self.n_with_frib:
            yield f"frib      {self.n_with_frib} events with data of the other acquisition"
        if self.first_id is not None:
            yield f"ids       {self.first_id} to {self.last_id}"
        if len(self.epochs) > 1:
            yield f"runs      {len(self.epochs)}: the numbering began anew"
        if self.n_incomplete:
            boards = ", ".join(f"{board} in {n}" for board, n in self.missing_boards.items())
            yield f"boards    {self.n_incomplete} events are not complete; missing: {boards}"
        if self.lost_event_ids:
            more = len(self.lost_event_ids) - _MANY_IDS
            ids = ", ".join(map(str, self.lost_event_ids[:_MANY_IDS]))
            yield f"lost      {ids}{f' and {more} more' if more > 0 else ''}"


def validate_merged(
    path: Path, *, max_events_read: int | None = None, after_each: Callable[[], None] = lambda: None
) -> MergedReport:
    """Check a merged file.

    Parameters
    ----------
    path
        Path of the file.
    max_events_read
        Largest number of events that are read. They are evenly spread, and the first and the last one are among them.
        By default all are read.
    after_each
        Called after each event.

    Returns
    -------
    MergedReport
        The report, which contains all problems; no error is raised.
    """
    report = MergedReport(str(path))
    log = log_path(path)
    if log.exists():
        report.error(
            "it is being written, or its writer was killed: its event log is there",
            f"when no writer is running: std-daq recover {path}",
        )
    try:
        with MergedFile(path) as file:
            _Check(file, report).run(max_events_read, after_each)
    except (FileFormatError, OSError) as error:
        if not report.problems:
            report.error(str(error).removeprefix(f"{path}: "))
    return report


class _Check:
    """The check of an open file."""

    def __init__(self, file: MergedFile, report: MergedReport) -> None:
        self._file = file
        self._report = report
        self._faults: dict[str, list[int]] = {}
        self._is_ours = layout.REPORT in file.run_attributes
        self._keys: list[tuple[int, int]] = []  # epoch and id of each event that was read
        self._incomplete: list[int] = []
        self._boards: Counter[tuple[int, int]] = Counter()
        self._tells_completeness = False

    def run(self, max_events_read: int | None, after_each: Callable[[], None]) -> None:
        """Check everything."""
        report, file = self._report, self._file
        report.layout, report.version = str(file.layout), file.version
        report.n_events = len(file)
        numbers = _some_of(file.numbers, max_events_read)
        for n in numbers:
            try:
                self._check_event(file.read(n))
            except FileFormatError as error:
                report.error(str(error).removeprefix(f"{file.path}: "))
            after_each()
        self._tell_faults()
        self._check_ids()
        self._check_numbers()
        if len(numbers) == len(file):
            self._check_incomplete()
        self._check_run()

    def _check_event(self, event: MergedEvent) -> None:
        report = self._report
        report.n_events_read += 1
        report.n_traces += len(event.traces) + sum(map(len, event.silicon.values()))
        report.n_with_frib += event.frib is not None
        for traces in (event.traces, *event.silicon.values()):
            for fault in find_faults(traces, is_ascending=self._is_ours):
                self._add_fault(fault, event.n)
        if event.checksum is not None and event.checksum != checksum_of_event(event):
            self._add_fault("its traces changed after they were written: wrong checksum", event.n)
        if not event.has_get and event.frib is None:
            self._add_fault("it has data neither of the chamber nor of the other acquisition", event.n)
        if event.id is not None:
            self._keys.append((event.epoch or 0, event.id))
        if event.is_complete is None:
            return
        self._tells_completeness = True
        missing = [] if event.missing_boards is None else [tuple(board) for board in event.missing_boards.tolist()]
        self._boards.update(missing)
        if not event.is_complete:
            self._incomplete.append(event.n)
        if event.is_complete == bool(missing):
            self._add_fault("complete and missing_boards disagree", event.n)

    def _add_fault(self, fault: str, n: int) -> None:
        self._faults.setdefault(fault, []).append(n)

    def _tell_faults(self) -> None:
        for fault, numbers in self._faults.items():
            more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
            self._report.error(f"event_{numbers[0]}{more}: {fault}")

    def _check_ids(self) -> None:
        keys, report = self._keys, self._report
        if not keys:
            return
        report.first_id, report.last_id = keys[0][1], keys[-1][1]
        report.epochs = sorted({epoch for epoch, _ in keys})
        n_twice = len(keys) - len(set(keys))
        if n_twice and self._is_ours:
            report.error(f"{n_twice} events have run and id of another event")
        elif n_twice:
            report.warn(f"{n_twice} events have the id of another event: the numbering began anew")
        elif any(not _ascends([event_id for of, event_id in keys if of == epoch]) for epoch in report.epochs):
            report.warn("ids do not ascend", "perhaps the numbering began anew")
        both = {event_id for _, event_id in keys} & set(self._lost_ids())
        if both and len(report.epochs) == 1:
            report.error(f"{len(both)} events are listed as lost but are in the file; the first of them is {min(both)}")

    def _check_numbers(self) -> None:
        """Check what says how many events there are: programs of the field rely on it."""
        file, report = self._file, self._report
        if file.layout is Layout.LEGACY or not file.numbers:
            return
        last = file.numbers[-1]
        n_missing = last + 1 - len(file) if file.numbers[0] == 0 else last + 1 - file.numbers[0] - len(file)
        if n_missing:
            report.warn(f"{n_missing} numbers between the first event and the last have no event")
        if file.version and file.version not in layout.KNOWN_VERSIONS:
            report.warn(f"the version {file.version!r} is none that programs of the field know")
        elif not file.version:
            report.warn("it has no version, which programs of the field ask for")
        wanted = last + 1 if file.version == layout.HARMONIZER else last
        found = file.attributes.get("max_event")
        if found is None or int(found) != wanted:
            report.error(f"max_event is {found} instead of {wanted}: programs of the field lose events, or fail")

    def _check_incomplete(self) -> None:
        if not self._tells_completeness:
            return
        self._report.n_incomplete = len(self._incomplete)
        self._report.missing_boards = {f"[{cobo}, {asad}]": n for (cobo, asad), n in sorted(self._boards.items())}
        listed = self._file.attributes.get(layout.INCOMPLETE_EVENTS)
        if listed is None or np.asarray(listed).tolist() != self._incomplete:
            self._report.error(f"{layout.INCOMPLETE_EVENTS} does not name the events that are not complete")

    def _lost_ids(self) -> list[int]:
        return [int(one) for one in np.atleast_1d(self._file.run_attributes.get(layout.LOST_EVENT_IDS, []))]

    def _check_run(self) -> None:
        """Check the report of the run, which files of std-daq have."""
        if not self._is_ours:
            return
        report = self._report
        text = self._file.run_attributes[layout.REPORT]
        if self._file.is_text_changed:
            names = ", ".join((*layout.TEXTS, "version"))
            report.error(f"one of the attributes {names} changed after it was written: wrong checksum")
        if not text:
            report.error(
                "no verdict: the run has not ended, or its writer was killed", f"std-daq recover {report.path}"
            )
            return
        try:
            run = RunReport.model_validate_json(text)
        except ValueError:
            report.error(f"the attribute {layout.REPORT} is damaged")
            return
        report.verdict, report.reason = str(run.verdict), run.reason
        report.n_requested, report.n_lost = run.n_requested, run.n_lost
        report.lost_event_ids = self._lost_ids()
        if run.n_written != report.n_events:
            report.error(f"the report says {run.n_written} events, but the file has {report.n_events}")
        if run.verdict is not Verdict.COMPLETE:
            report.warn(f"the run ended as {run.verdict}: {run.reason}")
        elif run.n_lost or report.n_incomplete:
            report.error(
                f"the verdict is complete, but {run.n_lost} events are lost and {report.n_incomplete} not complete"
            )


def _ascends(ids: list[int]) -> bool:
    return all(earlier < later for earlier, later in pairwise(ids))


def _some_of(numbers: list[int], limit: int | None) -> list[int]:
    if limit is None or limit >= len(numbers):
        return numbers
    return [numbers[i] for i in np.unique(np.linspace(0, len(numbers) - 1, limit).astype(int))]
