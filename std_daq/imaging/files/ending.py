"""Writing the end of a run, its verdict and its counts, into image files."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from std_daq.errors import HDF5_ERRORS
from std_daq.imaging.files import layout
from std_daq.imaging.files.hdf5 import FORMAT_VERSION, close_regardless, explained_error, keep_metadata_in_memory
from std_daq.imaging.files.nexus import encode_text, iso_time
from std_daq.recording.requests import RunReport


def _now() -> datetime:
    return datetime.now(UTC)


def finish_closed(path: Path, report: RunReport, *, clock: Callable[[], datetime] = _now) -> None:
    """Write the end of a run into a file that was closed before the run ended.

    Raises
    ------
    OSError
        The end could not be written.
    """
    try:
        # Without a lock: a reader of the images may hold one, and nothing that it reads changes.
        file = h5py.File(path, "r+", libver=FORMAT_VERSION, locking=False)
    except HDF5_ERRORS as error:
        raise explained_error(error, path, "cannot write the end of the run") from error
    try:
        keep_metadata_in_memory(file)
        file.swmr_mode = True  # after a crash, the file can be recovered
        write_report(file, report, n_images=file[layout.IMAGE_ID].shape[0], end=clock())
        file.close()
    except HDF5_ERRORS as error:
        close_regardless(file)
        raise explained_error(error, path, "cannot write the end of the run") from error


def write_report(file: h5py.File, report: RunReport, *, n_images: int, end: datetime) -> None:
    """Write the end of a run into the datasets that an image file has for it, and flush the file."""
    file[layout.VERDICT][()] = encode_text(report.verdict, layout.MAX_VERDICT_BYTES)
    file[layout.REASON][()] = encode_text(report.reason, layout.MAX_REASON_BYTES)
    file[layout.N_REQUESTED][()] = layout.UNKNOWN_COUNT if report.n_requested is None else report.n_requested
    file[layout.N_INCOMPLETE][()] = report.n_incomplete
    file[layout.N_LOST][()] = report.n_lost
    file[layout.N_IMAGES][()] = n_images
    file[layout.END_TIME][()] = encode_text(iso_time(end), layout.MAX_TIME_BYTES)
    lost = file[layout.LOST_IMAGE_IDS]
    lost.resize((len(report.lost_image_ids),))
    lost[:] = np.array(report.lost_image_ids, "<u8")
    file.flush()  # while the dataset is still open: h5py ignores errors that occur when it closes a dataset
