"""Validation of GRAW files: that all bytes are frames, and what the frames are."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from std_daq.errors import FileFormatError
from std_daq.recording.problem import HasProblems, Problem
from std_daq.tpc.frames.graw import GrawReader

_MAX_TOLD = 20


@dataclass(slots=True)
class GrawReport(HasProblems):
    """Result of `validate_graw`.

    Attributes
    ----------
    path
        Path of the file.
    n_bytes
        Its size.
    n_frames
        Frames in it.
    frame_types
        Number of frames of each type.
    boards
        Number of frames with samples of each board, by ``"[cobo, asad]"``.
    first_id, last_id
        Event ids of the first and of the last frame with samples.
    problems
        Problems that were found.
    """

    path: str
    n_bytes: int = 0
    n_frames: int = 0
    frame_types: dict[str, int] = field(default_factory=dict)
    boards: dict[str, int] = field(default_factory=dict)
    first_id: int | None = None
    last_id: int | None = None
    problems: list[Problem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object that can be written as JSON."""
        return {"is_valid": self.is_valid, **asdict(self)}

    def lines(self) -> Iterable[str]:
        """Yield the report as lines for a person."""
        types = ", ".join(f"{n} of type {kind}" for kind, n in self.frame_types.items())
        yield f"frames    {self.n_frames}{f': {types}' if types else ''}"
        for board, n in self.boards.items():
            yield f"board     {board}: {n}"
        if self.first_id is not None:
            yield f"ids       {self.first_id} to {self.last_id}"


def validate_graw(path: Path) -> GrawReport:
    """Check a GRAW file; the report contains all problems, and no error is raised."""
    report = GrawReport(str(path))
    types: Counter[int] = Counter()
    boards: Counter[tuple[int, int]] = Counter()
    try:
        reader = GrawReader(path)
        report.n_bytes = reader.n_bytes
        for frame in reader:
            report.n_frames += 1
            types[frame.frame_type] += 1
            if frame.has_samples:
                boards[frame.board] += 1
                report.last_id = frame.event_id
                report.first_id = frame.event_id if report.first_id is None else report.first_id
    except (FileFormatError, OSError) as error:
        report.error(str(error).removeprefix(f"{path}: "))
        return report
    report.frame_types = {str(kind): n for kind, n in sorted(types.items())}
    report.boards = {f"[{cobo}, {asad}]": n for (cobo, asad), n in sorted(boards.items())}
    for stretch in reader.damaged[:_MAX_TOLD]:
        report.error(str(stretch))
    if len(reader.damaged) > _MAX_TOLD:
        report.error(f"{len(reader.damaged) - _MAX_TOLD} further stretches are damaged")
    if not report.n_bytes:
        report.warn("the file is empty: its recording was ended before a frame came")
    return report
