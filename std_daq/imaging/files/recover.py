"""Repair of image files whose writer was killed.

The writer leaves a file that HDF5 opens only for readers that follow a live writer: marked as open, with an
end-of-file address of long ago. Both stand in the superblock, 48 bytes at the start of the file. The repair

1. makes sure that no process has the file open, and reads it as a follower would, changing nothing;
2. replaces the superblock in a single write, opens the file in the plain way, and puts the old one back if that fails;
3. cuts all datasets to the images that are whole and writes the verdict, *as a writer that others may follow*.

Killed at any time it leaves a file that it can repair when it is started again: before step 2 the file is as it was,
after it the file is a readable one without a verdict, and in step 3 it is once more a file whose writer was killed.
"""

import errno
import fcntl
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files.contents import (
    UNREADABLE,
    check_layout,
    count_stored_rows,
    is_incomplete,
    read_columns,
    read_superblock,
    read_text,
)
from std_daq.imaging.files.hdf5 import FORMAT_VERSION, keep_metadata_in_memory
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.nexus import encode_text, iso_time
from std_daq.recording.requests import RunReport, Verdict

RECOVERED = "writer was killed, recovered"


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done to a file.

    Attributes
    ----------
    path
        The file.
    n_images
        Images in it now.
    actions
        What was changed, in words; empty if the file was healthy.
    """

    path: Path
    n_images: int
    actions: tuple[str, ...]


def recover(path: Path) -> list[Recovery]:
    """Repair a file, or, if it is the absent master of a run, its data files, and write the master.

    A healthy file stays as it is, to the byte.

    Returns
    -------
    list
        One entry a file, the master last.

    Raises
    ------
    FileNotFoundError
        There is neither the file nor a data file of its run.
    FileFormatError
        The file is not one of ours, damaged in a way that cannot be repaired, or open in another process.
    """
    if path.exists():
        return [_recover_file(path)]
    data_files = layout.find_data_files(path) if path.parent.is_dir() else []
    if not data_files:
        raise FileNotFoundError(errno.ENOENT, "no such file, and no data files of such a run", str(path))
    recoveries = [_recover_file(data_file) for data_file in data_files]
    write_master(path, data_files, _report_of_run(data_files))
    n_images = sum(recovery.n_images for recovery in recoveries)
    return [*recoveries, Recovery(path, n_images, (f"master written over {len(data_files)} data files",))]


def _recover_file(path: Path) -> Recovery:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        _lock_for_repair(fd, path)
        actions = _mark_closed(fd, path)
        state = _examine(path)
        if not state.is_whole:
            actions += _write_end(path, state.n_images)
        return Recovery(path, state.n_images, actions)
    finally:
        os.close(fd)


def _lock_for_repair(fd: int, path: Path) -> None:
    """Make sure that nobody has the file open: its writer and plain readers hold a lock."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileFormatError(
            f"{path}: open in another process, perhaps it is still being written; end that process first"
        ) from None


@dataclass(frozen=True, slots=True)
class _State:
    """Images of which pixels and all values are there, and whether nothing else is, and there is a verdict."""

    n_images: int
    is_whole: bool


def _examine(path: Path, *, is_following: bool = False) -> _State:
    """Read a file without changing it; raises FileFormatError if it is not ours or unreadable."""
    try:
        with _opened(path, "r", is_following=is_following) as file:
            check_layout(file)
            if layout.DATA_FILES in file:
                return _State(file[layout.IMAGE_ID].shape[0], is_whole=True)
            datasets = [file[name] for name in (layout.PIXELS, *layout.PER_IMAGE)]
            n_images = min(count_stored_rows(dataset) for dataset in datasets)
            is_whole = all(dataset.shape[0] == n_images for dataset in datasets)
            return _State(n_images, is_whole and read_text(file, layout.VERDICT) != "")
    except FileFormatError:
        raise
    except UNREADABLE as error:
        raise FileFormatError(f"{path}: cannot be repaired: {error}") from error


def _opened(path: Path, mode: str, *, is_following: bool = False) -> h5py.File:
    # HDF5's own lock would be refused by ours.
    return h5py.File(path, mode, libver=FORMAT_VERSION, locking=False, swmr=is_following)


def _mark_closed(fd: int, path: Path) -> tuple[str, ...]:
    """Set flags and end-of-file address in the superblock right, if the file is marked as open."""
    superblock = read_superblock(path)
    n_file_bytes = os.fstat(fd).st_size
    if not superblock.is_open:
        if superblock.end_of_file > n_file_bytes:
            raise FileFormatError(
                f"{path}: cut off, {n_file_bytes} of {superblock.end_of_file} bytes are there; copy it again"
            )
        return ()
    # A repair that was killed as it had just begun to write leaves a file that cannot be followed.
    if superblock.can_be_followed:
        _examine(path, is_following=True)
    os.ftruncate(fd, n_file_bytes)  # gives back the space that the writer had set aside behind the end
    _write_superblock(fd, superblock.closed(n_file_bytes).to_bytes())
    try:
        _examine(path)
    except FileFormatError:
        _write_superblock(fd, superblock.to_bytes())
        raise
    return ("marked as closed",)


def _write_superblock(fd: int, data: bytes) -> None:
    os.pwrite(fd, data, 0)
    os.fsync(fd)


def _write_end(path: Path, n_images: int) -> tuple[str, ...]:
    """Cut the datasets to so many images, and write the verdict if there is none."""
    actions = [f"cut to {n_images} images"]
    with _opened(path, "r+") as file:
        keep_metadata_in_memory(file)
        file.swmr_mode = True
        columns = read_columns(file, n_images)
        for name in (layout.PIXELS, *layout.PER_IMAGE):
            dataset = file[name]
            dataset.id.set_extent((n_images, *dataset.shape[1:]))
        file[layout.N_IMAGES][()] = n_images
        if read_text(file, layout.VERDICT) == "":
            actions.append(f"verdict written: {Verdict.FAILED}: {RECOVERED}")
            file[layout.N_INCOMPLETE][()] = np.count_nonzero(is_incomplete(columns))
            last_ns = int(columns[layout.TIMESTAMP_NS].max(initial=0))
            end = iso_time(datetime.fromtimestamp(last_ns / 1e9, UTC))
            if last_ns and end > read_text(file, layout.START_TIME):
                file[layout.END_TIME][()] = encode_text(end, layout.MAX_TIME_BYTES)
            file[layout.REASON][()] = encode_text(RECOVERED, layout.MAX_REASON_BYTES)
            file[layout.VERDICT][()] = encode_text(Verdict.FAILED, layout.MAX_VERDICT_BYTES)
        file.flush()
    return tuple(actions)


def _report_of_run(data_files: list[Path]) -> RunReport:
    """Make up the report of a run, whose own is lost, from its data files."""
    lost: set[int] = set()
    verdicts, reasons = set(), set()
    n_written = n_incomplete = n_lost = 0
    for path in data_files:
        with h5py.File(path, "r", locking="best-effort") as file:
            columns = read_columns(file)
            n_written += len(columns[layout.IMAGE_ID])
            n_incomplete += int(np.count_nonzero(is_incomplete(columns)))
            n_lost = max(n_lost, int(file[layout.N_LOST][()]))
            lost.update(file[layout.LOST_IMAGE_IDS][:].tolist())
            verdicts.add(read_text(file, layout.VERDICT))
            reasons.add(read_text(file, layout.REASON))
            request_id = read_text(file, layout.REQUEST_ID)
            n_requested = int(file[layout.N_REQUESTED][()])
    is_agreed = len(verdicts) == 1 and len(reasons) == 1
    return RunReport(
        request_id=request_id,
        verdict=Verdict(verdicts.pop()) if is_agreed else Verdict.FAILED,
        reason=reasons.pop() if is_agreed else f"{RECOVERED}: {'; '.join(sorted(filter(None, reasons)))}",
        n_requested=None if n_requested == layout.UNKNOWN_COUNT else n_requested,
        n_written=n_written,
        n_incomplete=n_incomplete,
        n_lost=max(n_lost, len(lost)),
        lost_image_ids=tuple(sorted(lost)),
    )
