"""The index of a run in PFF files, and the check of the files that it names."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from std_daq.config.wrong_input import fault_in_words
from std_daq.recording.problem import HasProblems, Problem
from std_daq.recording.requests import RunReport, Verdict

_PIECE_BYTES = 1 << 24
_MAX_INDEX_BYTES = 1 << 26


@dataclass(slots=True)
class PffReport(HasProblems):
    """Result of `validate_index`.

    Attributes
    ----------
    path
        Path of the index.
    files
        Names of the files that it names.
    verdict, reason
        Verdict of the run and its reason; empty if there is none.
    n_images
        Images that were written, as the verdict says.
    problems
        Problems that were found.
    """

    path: str
    files: list[str] = field(default_factory=list)
    verdict: str = ""
    reason: str = ""
    n_images: int = 0
    problems: list[Problem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object that can be written as JSON."""
        return {"is_valid": self.is_valid, **asdict(self)}

    def lines(self) -> Iterable[str]:
        """Yield the report as lines for a person."""
        if self.verdict:
            yield f"run       {self.verdict}{': ' if self.reason else ''}{self.reason}"
            yield f"images    {self.n_images}"
        for name in self.files:
            yield f"data      {name}"


def validate_index(path: Path, *, after_each: Callable[[], None] = lambda: None) -> PffReport:
    """Check the index of a run, and compare the files that it names with their checksums.

    Parameters
    ----------
    path
        Path of the index.
    after_each
        Called after each 16 MB.
    """
    report = PffReport(str(path))
    try:
        with path.open("rb") as file:
            index = json.loads(file.read(_MAX_INDEX_BYTES))
        report.files = [str(name) for name in index["files"]]
        checksums = index["checksums"]
        run = None if index["report"] is None else RunReport.model_validate(index["report"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        report.error(
            f"cannot be read as an index of PFF files: it {fault_in_words(error)}", "give the index, or an HDF5 file"
        )
        return report
    if run is None:
        report.error(
            "no verdict: the run has not ended, or its writer was killed; the files are whole to the last flush"
        )
        return report
    report.verdict, report.reason, report.n_images = str(run.verdict), run.reason, run.n_written
    if run.verdict is not Verdict.COMPLETE:
        report.warn(f"the run ended as {run.verdict}: {run.reason}")
    if len(checksums) != len(report.files):
        report.error(f"it has {len(checksums)} checksums of {len(report.files)} files")
        return report
    for name, checksum in zip(report.files, checksums, strict=True):
        _check_file(path.parent / name, checksum, report, after_each)
    return report


def _check_file(path: Path, wanted: str, report: PffReport, after_each: Callable[[], None]) -> None:
    import xxhash

    state = xxhash.xxh3_64()
    try:
        if not path.is_file():
            report.error(f"{path}: there is no such file")
            return
        for piece in _pieces(path):
            state.update(piece)
            after_each()
    except OSError as error:
        report.error(f"{path}: cannot be read: {error.strerror}")
        return
    if state.hexdigest() != wanted:
        report.error(f"{path} changed after it was written: wrong checksum", "take the file from a copy")


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
