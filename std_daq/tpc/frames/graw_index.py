"""The check of the GRAW files of a requested run, by their index."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from std_daq.config.wrong_input import fault_in_words
from std_daq.errors import FileFormatError
from std_daq.recording.run_index import UNREADABLE, RunIndexReport, read_index
from std_daq.tpc.frames.block_checksums import FrameBlock, changed_blocks
from std_daq.tpc.frames.graw import GrawReader


@dataclass(slots=True)
class GrawIndexReport(RunIndexReport):
    """Result of `validate_graw_index`.

    Attributes
    ----------
    n_events, n_frames, n_missing
        Events written, frames in the files, and frames that the events written miss.
    """

    n_events: int = 0
    n_frames: int = 0
    n_missing: int = 0

    def counts(self) -> Iterable[str]:
        """Yield what the run has, as lines for a person."""
        if self.verdict:
            yield f"events    {self.n_events}"
        yield f"frames    {self.n_frames}, {self.n_missing} missing"


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
        index, run = read_index(path)
        boards = [_BoardFiles.from_json(one) for one in index["boards"]]
    except UNREADABLE as error:
        report.error(
            f"cannot be read as an index of GRAW files: it {fault_in_words(error)}", "give the index, or a GRAW file"
        )
        return report
    if run is None:
        report.error(
            "no verdict: the run has not ended, or its writer was killed; all frames in the files beside it are whole"
        )
        return report
    report.note_run(run)
    report.n_events = run.n_written
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
    checksums: list[list[FrameBlock]]

    @classmethod
    def from_json(cls, one: dict[str, Any]) -> "_BoardFiles":
        files = list(map(str, one["files"]))
        checksums = [[FrameBlock.from_json(row) for row in rows] for rows in one["checksums"]]
        if len(checksums) != len(files):
            raise ValueError(f"it has checksums of {len(checksums)} files, and {len(files)} files")
        return cls(tuple(map(int, one["board"])), int(one["n_frames"]), int(one["n_missing"]), files, checksums)


def _check_blocks(
    path: Path, blocks: list[FrameBlock], report: GrawIndexReport, after_each: Callable[[], None]
) -> None:
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
