"""Joins the files of several servers, to which a detector has sent its frames in turn, under one master file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from std_daq.errors import FileFormatError
from std_daq.hdf5 import open_hdf5
from std_daq.imaging.files import layout
from std_daq.imaging.files.contents import UNREADABLE, check_layout, read_superblock, read_text
from std_daq.imaging.files.master_file import write_master
from std_daq.recording.requests import RunReport, Verdict

# The verdict of the whole is the first of these that a part has.
_WORST_FIRST = (Verdict.FAILED, Verdict.KILLED, Verdict.INCOMPLETE)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one server has written: its file or its data files, the frame numbers in them, and its report.

    The report of a file that was recovered does not know how many images are lost.
    """

    path: Path
    detector_name: str
    data_files: tuple[Path, ...]
    frames: npt.NDArray[np.uint64]
    report: RunReport
    is_n_lost_known: bool


def join(master: Path, parts: Sequence[Path]) -> RunReport:
    """Write a master file over the files of several servers; it shows the images in the order of their frame numbers.

    Parameters
    ----------
    master
        Path of the master file, in the folder of the parts; it must not exist.
    parts
        The file of each server, or its master file if its run has several data files.

    Returns
    -------
    The report of the whole. Its verdict is the worst of the parts, and its reason names the parts that have one.

    Raises
    ------
    FileExistsError
        The master exists already.
    FileFormatError
        A part is not readable or not finished, or the parts do not belong together.
    """
    folder = master.resolve().parent
    for path in parts:
        if path.resolve().parent != folder:
            raise FileFormatError(f"{path}: it must be in the folder of the master file, {folder}: move it there")
    read = sorted((_read_part(folder / path.name) for path in parts), key=lambda part: part.frames.min(initial=2**63))
    _check_they_belong_together(read)
    report = _report_of(read)
    data_files = [data_file for part in read for data_file in part.data_files]
    is_n_lost_known = all(part.is_n_lost_known for part in read)
    write_master(folder / master.name, data_files, report, is_n_lost_known=is_n_lost_known)
    return report


def _read_part(path: Path) -> _Part:
    try:
        read_superblock(path)
        with open_hdf5(path, "r") as file:
            check_layout(file)
            names = file[layout.DATA_FILES][:] if layout.DATA_FILES in file else []
            data_files = tuple(path.with_name(bytes(name).decode(errors="surrogateescape")) for name in names)
            verdict = read_text(file, layout.VERDICT)
            if not verdict:
                raise FileFormatError(f"{path}: it is not finished; if its writer was killed: std-daq recover {path}")
            report = _read_report(file, Verdict(verdict))
            frames = file[layout.FRAME_INDEX][:]
            is_n_lost_known = int(file[layout.N_LOST][()]) != layout.UNKNOWN_COUNT
            name = read_text(file, layout.DETECTOR_NAME)
            return _Part(path, name, data_files or (path,), frames, report, is_n_lost_known)
    except FileFormatError:
        raise
    except UNREADABLE as error:
        raise FileFormatError(
            f"{path}: cannot be read: {error}; if its writer was killed: std-daq recover {path}"
        ) from (error)


def _read_report(file: h5py.File, verdict: Verdict) -> RunReport:
    n_requested, n_incomplete, n_lost = (
        int(file[name][()]) for name in (layout.N_REQUESTED, layout.N_INCOMPLETE, layout.N_LOST)
    )
    return RunReport(
        request_id=read_text(file, layout.REQUEST_ID),
        verdict=verdict,
        reason=read_text(file, layout.REASON),
        n_requested=None if n_requested == layout.UNKNOWN_COUNT else n_requested,
        n_written=file[layout.IMAGE_ID].shape[0],
        n_incomplete=max(n_incomplete, 0),
        n_lost=max(n_lost, 0),
        lost_image_ids=tuple(file[layout.LOST_IMAGE_IDS][:].tolist()),
        ended_at=datetime.fromisoformat(read_text(file, layout.END_TIME)),
    )


def _check_they_belong_together(parts: Sequence[_Part]) -> None:
    first = parts[0]
    twice = [path for path, n in Counter(path for part in parts for path in part.data_files).items() if n > 1]
    if twice:
        raise FileFormatError(f"{twice[0]}: it is given twice")
    for part in parts[1:]:
        if part.detector_name != first.detector_name:
            raise FileFormatError(
                f"{part.path}: images of {part.detector_name}, but those in {first.path} are of {first.detector_name}"
            )
    if any(_has_restart(part) for part in parts):
        return  # then a frame number says nothing
    frames = sorted(((int(frame), part.path) for part in parts for frame in part.frames), key=lambda pair: pair[0])
    for (frame, path), (next_frame, next_path) in pairwise(frames):
        if frame == next_frame:
            raise FileFormatError(f"{next_path}: frame {frame} is also in {path}: these are not shares of one run")


def _has_restart(part: _Part) -> bool:
    return bool((part.frames[1:] <= part.frames[:-1]).any())


def _count_absent(parts: Sequence[_Part]) -> int:
    """Return how many frames are in no file although all servers took frames before and after them.

    Example: frames 1, 2, 4, 5, 6, 8, 9 of servers 1, 2 and 4 of four. Frames 3 and 7 are absent: a file is forgotten.
    Servers begin and end at different frames, so frames before the first of a server, and behind its last, are not
    counted.
    """
    taken = [part.frames.astype(np.int64) for part in parts if len(part.frames)]
    if not taken or any(_has_restart(part) for part in parts):
        return 0
    reach = len(parts) - 1
    frames = np.concatenate(taken)
    first = max(int(frames.min()), max(int(one.min()) for one in taken) - reach)
    last = min(int(frames.max()), min(int(one.max()) for one in taken) + reach)
    n_taken = int(((frames >= first) & (frames <= last)).sum())
    return max(0, last - first + 1 - n_taken)


def _report_of(parts: Sequence[_Part]) -> RunReport:
    reports = [part.report for part in parts]
    verdicts = {report.verdict for report in reports}
    requested = [report.n_requested for report in reports if report.n_requested is not None]
    reasons = [f"{part.path.name}: {part.report.reason}" for part in parts if part.report.reason]
    n_lost = sum(report.n_lost for report in reports)
    n_absent = max(0, _count_absent(parts) - n_lost)
    if n_absent:
        verdicts.add(Verdict.INCOMPLETE)
        reasons.append(f"{n_absent} frames in between are in none of the files: is the file of a server missing?")
    return RunReport(
        request_id=reports[0].request_id,
        verdict=next((verdict for verdict in _WORST_FIRST if verdict in verdicts), Verdict.COMPLETE),
        reason="; ".join(reasons),
        n_requested=sum(requested) if len(requested) == len(reports) else None,
        n_written=sum(report.n_written for report in reports),
        n_incomplete=sum(report.n_incomplete for report in reports),
        n_lost=n_lost + n_absent,
        lost_image_ids=tuple(sorted(image_id for report in reports for image_id in report.lost_image_ids)),
        files=tuple(str(data_file) for part in parts for data_file in part.data_files),
        ended_at=max(report.ended_at for report in reports if report.ended_at is not None),
    )
