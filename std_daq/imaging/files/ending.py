"""Writing the end of a run, its verdict and its counts, into image files."""

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.folders.open_folder import OpenFolder
from std_daq.hdf5 import (
    FORMAT_VERSION,
    close_regardless,
    explained_error,
    keep_metadata_in_memory,
)
from std_daq.imaging.files import layout
from std_daq.imaging.files.checksums import end_checksum
from std_daq.imaging.files.contents import UNREADABLE, read_superblock, read_text
from std_daq.imaging.files.nexus import iso_time
from std_daq.imaging.files.texts import encode_ascii
from std_daq.recording.disk_file import room_behind
from std_daq.recording.requests import RunReport

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# HDF5's records of a list of ids, besides the ids.
_LIST_BYTES = 64 * 1024

Place = tuple[int, bytes]
"""Offset in a file, and the bytes that belong there."""


def _now() -> datetime:
    return datetime.now(UTC)


def finish_closed(
    path: Path,
    report: RunReport,
    *,
    clock: Callable[[], datetime] = _now,
    folder: OpenFolder | None = None,
) -> None:
    """Write the end of a run into a file that was closed before the run ended.

    The file is opened once, in its folder if the caller has opened that, and then only by its descriptor. It stays
    whole whatever happens. Verdict, counts and end time take the place that the file keeps for them, so
    they need no space on the disk. The ids of lost images need space. They come first, once their space is allocated.

    Raises
    ------
    OSError
        The end could not be written. If only the ids of lost images did not fit, everything else is written.
    FileFormatError
        The file was not closed, or it is not an image file.
    """
    what = "cannot write the end of the run"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC) if folder is None else folder.open_file(path.name, os.O_RDWR)
    except OSError as error:
        raise OSError(error.errno, f"{what}: {error.strerror}", str(path)) from error
    try:
        try:
            opened = Path(f"/proc/self/fd/{fd}")
            places = _examine(opened, path, report, clock(), report.lost_image_ids)
            full = _append_lost_ids(opened, report) if report.lost_image_ids else None
            if full is not None:
                places = _examine(opened, path, report, clock(), ())
            for offset, data in places:  # past HDF5, which would first mark the file as open
                os.pwrite(fd, data, offset)
        finally:
            os.close(fd)
    except FileFormatError:
        raise
    except UNREADABLE as error:
        raise explained_error(error, path, what) from error
    if full is not None:
        raise explained_error(full, path, "cannot write the ids of the lost images") from full


def write_report(
    file: h5py.File, report: RunReport, *, n_images: int, end: datetime, is_n_lost_known: bool = True
) -> None:
    """Write the end of a run into a file that appears only when it is complete, and flush the file."""
    values = _values(report, n_images, end)
    if not is_n_lost_known:
        values[layout.N_LOST] = layout.UNKNOWN_COUNT
    has_checksum = layout.END_CHECKSUM in file
    paths = (*values, layout.LOST_IMAGE_IDS, *([layout.END_CHECKSUM] if has_checksum else []))
    datasets = {path: file[path] for path in paths}
    for path, value in values.items():
        datasets[path][()] = value
    write_lost_ids(datasets[layout.LOST_IMAGE_IDS], report.lost_image_ids)
    if has_checksum:
        datasets[layout.END_CHECKSUM][()] = end_checksum(file)
    file.flush()  # while the datasets are still open: h5py ignores errors that occur when it closes a dataset


def write_lost_ids(dataset: h5py.Dataset, ids: tuple[int, ...]) -> None:
    """Write the ids of the images that are lost."""
    dataset.resize((len(ids),))
    dataset[:] = np.array(ids, "<u8")


def find_places(
    file: h5py.File, report: RunReport, *, n_images: int, end: datetime, lost_ids: tuple[int, ...]
) -> list[Place]:
    """Return where the end of a run belongs in an image file, and its bytes there.

    The verdict is last, so that it vouches for the others. ``lost_ids`` are those that the file has, or will have.
    """
    values = _values(report, n_images, end)
    if layout.END_CHECKSUM in file:
        checksum = end_checksum(file, values, np.array(lost_ids, "<u8"))
        values = {layout.END_CHECKSUM: checksum, **values}
    places = []
    for name, value in values.items():
        dataset = file[name]
        offset = dataset.id.get_offset()
        if offset is None:
            raise FileFormatError(f"{file.filename}: {name} has no place in the file")
        places.append((offset, np.array(value, dataset.dtype).tobytes()))
    return places


def room_of(report: RunReport) -> int:
    """Return how much space the ids of lost images take at the end of a file, in bytes; 0 if there are none."""
    return 8 * len(report.lost_image_ids) + _LIST_BYTES if report.lost_image_ids else 0


def _values(report: RunReport, n_images: int, end: datetime) -> dict[str, bytes | int]:
    return {
        layout.REASON: encode_ascii(report.reason, layout.MAX_REASON_BYTES),
        layout.N_REQUESTED: layout.UNKNOWN_COUNT if report.n_requested is None else report.n_requested,
        layout.N_INCOMPLETE: report.n_incomplete,
        layout.N_LOST: report.n_lost,
        layout.N_IMAGES: n_images,
        layout.END_TIME: encode_ascii(iso_time(end), layout.MAX_TIME_BYTES),
        layout.VERDICT: encode_ascii(report.verdict, layout.MAX_VERDICT_BYTES),
    }


def _examine(opened: Path, path: Path, report: RunReport, end: datetime, lost_ids: tuple[int, ...]) -> list[Place]:
    """Check that a closed file, opened here, is one of this run, and return the places of the end in it."""
    if read_superblock(opened).is_open:
        raise FileFormatError(f"{path}: the file was not closed; run std-daq recover {path}")
    with h5py.File(opened, "r", locking=False) as file:  # a reader of the images may hold a lock, and may keep it
        if read_text(file, layout.REQUEST_ID) != report.request_id:
            raise FileFormatError(f"{path}: a file of another run is in the place of this one")
        return find_places(file, report, n_images=file[layout.IMAGE_ID].shape[0], end=end, lost_ids=lost_ids)


def _append_lost_ids(path: Path, report: RunReport) -> OSError | None:
    """Write the ids of lost images into a closed file; return the error, and change nothing, if they do not fit."""
    try:
        with room_behind(path, room_of(report)):
            file = h5py.File(path, "r+", libver=FORMAT_VERSION, locking=False)
            try:
                keep_metadata_in_memory(file)
                file.swmr_mode = True  # after a crash, the file can be recovered
                lost_ids = file[layout.LOST_IMAGE_IDS]  # open as long as the file, as in ImageFile
                write_lost_ids(lost_ids, report.lost_image_ids)
                file.flush()
                file.close()
            except HDF5_ERRORS:
                close_regardless(file)
                raise
    except OSError as error:
        if error.errno in _FULL:
            return error
        raise
    return None
