"""The index of a run in files of another acquisition: what all of them tell, and how it is read to check a run."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from std_daq.recording.problem import HasProblems, Problem
from std_daq.recording.requests import RunReport, Verdict

_MAX_INDEX_BYTES = 1 << 26

UNREADABLE = (OSError, ValueError, LookupError, TypeError, RecursionError)
"""What is raised when an index is read that is none."""


@dataclass(slots=True)
class RunIndexReport(HasProblems):
    """Result of the check of an index and its files.

    Attributes
    ----------
    path
        Path of the index.
    files
        Names of the files that it names.
    verdict, reason
        Verdict of the run and its reason; empty if there is none.
    problems
        Problems that were found.
    """

    path: str
    files: list[str] = field(default_factory=list)
    verdict: str = ""
    reason: str = ""
    problems: list[Problem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object that can be written as JSON."""
        return {"is_valid": self.is_valid, **asdict(self)}

    def lines(self) -> Iterable[str]:
        """Yield the report as lines for a person."""
        if self.verdict:
            yield f"run       {self.verdict}{': ' if self.reason else ''}{self.reason}"
        yield from self.counts()
        for name in self.files:
            yield f"data      {name}"

    def counts(self) -> Iterable[str]:
        """Yield what the run has, as lines for a person."""
        return ()

    def note_run(self, run: RunReport) -> None:
        """Note how the run ended, with a warning if it is not complete."""
        self.verdict, self.reason = str(run.verdict), run.reason
        if run.verdict is not Verdict.COMPLETE:
            self.warn(f"the run ended as {run.verdict}: {run.reason}")


def read_index(path: Path) -> tuple[dict[str, Any], RunReport | None]:
    """Return what an index says, and the report of its run; None if the run has not ended.

    Raises
    ------
    OSError, ValueError, LookupError, TypeError, RecursionError
        It cannot be read, or is no index; see `UNREADABLE`.
    """
    with path.open("rb") as file:
        index: dict[str, Any] = json.loads(file.read(_MAX_INDEX_BYTES))
    return index, None if index["report"] is None else RunReport.model_validate(index["report"])
