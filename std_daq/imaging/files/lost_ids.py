"""Ids of lost images that a report names, put into files that were recovered without them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import h5py

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files.contents import read_text
from std_daq.imaging.files.ending import finish_closed
from std_daq.recording.repair import RECOVERED
from std_daq.recording.requests import RunReport, Verdict

FindReport = Callable[[str], RunReport | None]
"""Returns the report of a run, given its request id; None if there is none."""


def add_lost_ids(path: Path, find_report: FindReport) -> tuple[str, ...]:
    """Write the ids of lost images into a recovered file; return what was done, nothing where all are there.

    The agent counts images as lost that the killed writer had not flushed. Those that the file holds all the same are
    not lost.

    Parameters
    ----------
    path
        A file that `std_daq.imaging.files.recover.recover` has made whole.
    find_report
        Finds the report of its run.

    Raises
    ------
    FileFormatError
        The report is of another run.
    OSError
        The file cannot be written.
    """
    # Without HDF5's own lock: the repair holds one.
    with h5py.File(path, "r", locking=False) as file:
        request_id = read_text(file, layout.REQUEST_ID)
        if layout.DATA_FILES in file or read_text(file, layout.REASON) != RECOVERED:
            return ()
        report = find_report(request_id)
        if report is None:
            return ("lost images not named, as there is no report of the run",)
        if request_id != report.request_id:
            raise FileFormatError(
                f"{path}: the report is of the request {report.request_id}, and this file of the request {request_id}"
            )
        written = set(file[layout.IMAGE_ID][:].tolist())
        known = file[layout.LOST_IMAGE_IDS][:].tolist()
        n_requested = int(file[layout.N_REQUESTED][()])
        n_incomplete = int(file[layout.N_INCOMPLETE][()])
        end = datetime.fromisoformat(read_text(file, layout.END_TIME))
    named = set(report.lost_image_ids)
    lost = sorted((named | {*known}) - written)
    if lost == known:
        return ()
    n_lost = max(report.n_lost - len(named & written), len(lost))
    ending = RunReport(
        request_id=request_id,
        verdict=Verdict.FAILED,
        reason=RECOVERED,
        n_requested=None if n_requested == layout.UNKNOWN_COUNT else n_requested,
        n_incomplete=n_incomplete,
        n_lost=n_lost,
        lost_image_ids=tuple(lost),
    )
    finish_closed(path, ending, clock=lambda: end)
    return (f"{len(lost)} of {n_lost} lost images named",)
