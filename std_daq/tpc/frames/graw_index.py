"""The check of the GRAW files of a requested run, by their index."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from std_daq.config.wrong_input import fault_in_words
from std_daq.errors import FileFormatError
from std_daq.recording.problem import HasProblems, Problem
from std_daq.recording.requests import RunReport, Verdict
from std_daq.tpc.frames.block_checksums import Block, changed_blocks
from std_daq.tpc.frames.graw import GrawReader

_MAX_INDEX_BYTES = 1 << 26


@dataclass(slots=True)
class GrawIndexReport(HasProblems):
    """Result of `validate_graw_index`.

    Attributes
    ----------
    path
        Path of the index.
    files
        Names of the files that it names.
    verdict, reason
        Verdict of the run and its reason; empty if there is none.
    n_events, n_frames, n_missing
        Events written, frames in the files, and frames that the events written miss.
    problems
        Problems that were found.
    """

    path: str
    files: list[str] = field(default_factory=list)
    verdict: str = ""
    reason: str = ""
    n_events: int = 0
    n_frames: int = 0
    n_missing: int = 0
    problems: list[Problem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object that can be written as JSON."""
        return {"is_valid": self.is_valid, **asdict(self)}

    def lines(self) -> Iterable[str]:
        """Yield the report as lines for a person."""
        if self.verdict:
            yield f"run       {self.verdict}{': ' if self.reason else ''}{self.reason}"
            yield f"events    {self.n_events}"
        yield f"frames    {self.n_frames}, {self.n_missing} missing"
        for name in self.files:
            yield f"data      {name}"


def validate_graw_index(path: Path, *, after_each: Callable[[], None] = lambda: None) -> GrawIndexReport:
    """Check the index of a run, and that its files hold the frames of each board that it tells of, unchanged.

    Parameters
    ----------
    path
        Path of the index.
    after_each
        Called after each 4 MB.
    """
    report = GrawIndexReport(str(path))
    try:
        with path.open("rb") as file:
            index = json.loads(file.read(_MAX_INDEX_BYTES))
        boards = [_BoardFiles.from_json(one) for one in index["boards"]]
        run = None if index["report"] is None else RunReport.model_validate(index["report"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        report.error(
            f"cannot be read as an index of GRAW files: it {fault_in_words(error)}", "give the index, or a GRAW file"
        )
        return report
    if run is None:
        report.error(
            "no verdict: the run has not ended, or its writer was killed; all frames in the files beside it are whole"
        )
        return report
    report.verdict, report.reason, report.n_events = str(run.verdict), run.reason, run.n_written
    if run.verdict is not Verdict.COMPLETE:
        report.warn(f"the run ended as {run.verdict}: {run.reason}")
    for of_board in boards:
        report.files += of_board.files
        report.n_missing += of_board.n_missing
        board, n_frames, n_found = of_board.board, of_board.n_frames, 0
        for name, blocks in zip(of_board.files, of_board.checksums, strict=True):
            n_found += _count_frames(path.parent / name, board, report, after_each)
            _check_blocks(path.parent / name, blocks, report, after_each)
        report.n_frames += n_found
        if n_found != n_frames:
            report.error(f"board {list(board)}: {n_found} frames are in its files, {n_frames} were written")
    return report


@dataclass(frozen=True, slots=True)
class _BoardFiles:
    """What the index tells of a board; of each file the checksums of its blocks."""

    board: tuple[int, ...]
    n_frames: int
    n_missing: int
    files: list[str]
    checksums: list[list[Block]]

    @classmethod
    def from_json(cls, one: dict[str, Any]) -> "_BoardFiles":
        files = list(map(str, one["files"]))
        checksums = [[Block.from_json(row) for row in rows] for rows in one["checksums"]]
        if len(checksums) != len(files):
            raise ValueError(f"it has checksums of {len(checksums)} files, and {len(files)} files")
        return cls(tuple(map(int, one["board"])), int(one["n_frames"]), int(one["n_missing"]), files, checksums)


def _check_blocks(path: Path, blocks: list[Block], report: GrawIndexReport, after_each: Callable[[], None]) -> None:
    with suppress(FileNotFoundError):  # which is told already
        for begin, block in changed_blocks(path, blocks, after_each):
            report.error(
                f"{path}: frames of the events {block.first_id} to {block.last_id}, in the {block.n_bytes} bytes from "
                f"byte {begin} on, are not as they were written: wrong checksum",
                "take the file from a copy",
            )


def _count_frames(path: Path, board: tuple[int, ...], report: GrawIndexReport, after_each: Callable[[], None]) -> int:
    n_frames = 0
    try:
        reader = GrawReader(path)
        for frame in reader:
            n_frames += frame.board == board
    except FileNotFoundError:
        report.error(f"{path}: there is no such file")
        return 0
    except (OSError, FileFormatError) as error:
        report.error(f"{path}: cannot be read: {error}")
        return n_frames
    for damage in reader.damaged:
        report.error(f"{path}: {damage}", "take the file from a copy")
    after_each()
    return n_frames
