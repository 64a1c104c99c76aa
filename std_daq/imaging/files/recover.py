"""Repair of image files whose writer was killed.

A killed writer leaves a file that is marked as open and whose end-of-file address is out of date. HDF5 opens such a
file only in SWMR mode, for readers of a live writer. Mark and address are in the superblock, 48 bytes at the start of
the file. The repair has three steps:

1. It makes sure that no process has the file open, and reads the file in SWMR mode without changing it.
2. It replaces the superblock in a single write and opens the file in normal mode. If that fails, it restores the old
   superblock.
3. It cuts all datasets to the images that are complete and writes the verdict, itself in SWMR mode.

If the repair is killed at any time, a second repair succeeds. Before step 2, the file is unchanged. After step 2, the
file is readable and only lacks a verdict. In step 3, it is again a file whose writer was killed.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py

from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.hdf5 import FORMAT_VERSION, keep_metadata_in_memory, open_growing, open_hdf5
from std_daq.imaging.files import layout
from std_daq.imaging.files.checksum_checks import count_whole
from std_daq.imaging.files.checksums import end_checksum
from std_daq.imaging.files.contents import (
    UNREADABLE,
    check_layout,
    columns_of,
    count_faults,
    count_stored_rows,
    read_columns,
    read_superblock,
    read_text,
)
from std_daq.imaging.files.lost_ids import FindReport, add_lost_ids
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.measured import cut_logs, paths_of_logs
from std_daq.imaging.files.nexus import iso_time
from std_daq.imaging.files.texts import encode_ascii
from std_daq.recording.fault_words import sum_of_faults
from std_daq.recording.repair import RECOVERED, Recovery, lock_for_repair
from std_daq.recording.requests import FaultCount, RunReport, Verdict


def recover(
    path: Path, *, find_report: FindReport | None = None, after_each: Callable[[], None] = lambda: None
) -> list[Recovery]:
    """Repair a file. If it is the missing master of a run, repair the data files and write the master.

    A file that needs no repair is not changed.

    Parameters
    ----------
    path
        Path of the file.
    find_report
        Returns the report of the run, which names lost images, given the request id; None if nobody has it.
    after_each
        Called after each file.

    Returns
    -------
    list
        One entry per file; the master is last.

    Raises
    ------
    FileNotFoundError
        Neither the file nor a data file of its run exists.
    FileFormatError
        The file was not written by std-daq, cannot be repaired, or is open in another process.
    """
    try:
        return _recover(path, find_report, after_each)
    except (FileFormatError, OSError):
        raise
    except HDF5_ERRORS as error:
        raise FileFormatError(f"{path}: cannot be repaired: {error!r}") from error


def _recover(path: Path, find_report: FindReport | None, after_each: Callable[[], None]) -> list[Recovery]:
    if path.exists():
        return [_recover_file(path, find_report)]
    data_files = layout.find_data_files(path) if path.parent.is_dir() else []
    if not data_files:
        raise FileNotFoundError(errno.ENOENT, "no such file, and no data files of a run with this name", str(path))
    recoveries = []
    for data_file in data_files:
        recoveries.append(_recover_file(data_file, find_report))
        after_each()
    of_run, is_n_lost_known = _report_of_run(data_files)
    write_master(path, data_files, of_run, is_n_lost_known=is_n_lost_known)
    n_images = sum(recovery.n_images for recovery in recoveries)
    return [*recoveries, Recovery(path, n_images, (f"master written over {len(data_files)} data files",))]


def _recover_file(path: Path, find_report: FindReport | None) -> Recovery:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        has_lock = lock_for_repair(fd, path)
        actions = _mark_closed(fd, path)
        state = _examine(path)
        if not state.is_whole:
            actions += _write_end(path, state.n_images)
        if find_report is not None:
            actions += add_lost_ids(path, find_report)
        if actions and not has_lock:
            actions += ("repaired without a lock, which this file system does not have",)
        return Recovery(path, state.n_images, actions)
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class _State:
    """Number of complete images in a file, and whether the file needs no repair.

    The file is whole if it has no incomplete images and has a verdict.
    """

    n_images: int
    is_whole: bool


def _examine(path: Path, *, is_following: bool = False) -> _State:
    """Read a file without changing it; raises FileFormatError if it is not std-daq's or not readable."""
    try:
        with open_growing(path, locking=False) if is_following else _opened(path, "r") as file:
            check_layout(file)
            if layout.DATA_FILES in file:
                return _State(file[layout.IMAGE_ID].shape[0], is_whole=True)
            datasets = [file[name] for name in (layout.PIXELS, *columns_of(file))]
            n_images = min(count_stored_rows(dataset) for dataset in datasets)
            has_verdict = read_text(file, layout.VERDICT) != ""
            if not has_verdict:
                n_images = count_whole(file, n_images)
                for name in (*layout.END_VALUES, layout.LOST_IMAGE_IDS):
                    file[name][()]  # the end of the run will be written there
            is_whole = all(dataset.shape[0] == n_images for dataset in datasets)
            return _State(n_images, is_whole and has_verdict)
    except FileFormatError:
        raise
    except UNREADABLE as error:
        raise FileFormatError(f"{path}: cannot be repaired: {error}") from error


def _opened(path: Path, mode: str) -> h5py.File:
    # Without HDF5's own lock, which would fail because this process already holds a lock.
    return h5py.File(path, mode, libver=FORMAT_VERSION, locking=False)


def _mark_closed(fd: int, path: Path) -> tuple[str, ...]:
    """Correct the flags and the end-of-file address in the superblock, if the file is marked as open."""
    superblock = read_superblock(path)
    n_file_bytes = os.fstat(fd).st_size
    if not superblock.is_open:
        if superblock.end_of_file > n_file_bytes:
            raise FileFormatError(
                f"{path}: cut off, it has only {n_file_bytes} of {superblock.end_of_file} bytes; copy it again"
            )
        return ()
    # A repair that was killed just after it began to write leaves a file that cannot be read in SWMR mode.
    if superblock.can_be_followed:
        _examine(path, is_following=True)
    os.ftruncate(fd, n_file_bytes)  # releases the space that the writer had allocated behind the end
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
    """Cut the datasets to `n_images`, and write a verdict if there is none."""
    actions = [f"cut to {n_images} images"]
    with _opened(path, "r+") as file:
        keep_metadata_in_memory(file)
        # All is read before: in SWMR mode HDF5 repeats a read with a wrong checksum for hours.
        columns = read_columns(file, n_images)
        for name in (*layout.END_VALUES, layout.LOST_IMAGE_IDS, *paths_of_logs(file)):
            file[name][()]
        calibrations = _open_calibrations(file)
        if calibrations is None:
            actions.append("the list of calibrations is damaged")
        file.swmr_mode = True
        for name in (layout.PIXELS, *columns):
            dataset = file[name]
            dataset.id.set_extent((n_images, *dataset.shape[1:]))
        cut_logs(file)
        file[layout.N_IMAGES][()] = n_images
        if read_text(file, layout.VERDICT) == "":
            actions.append(f"verdict written: {Verdict.FAILED}: {RECOVERED}")
            file[layout.N_INCOMPLETE][()] = count_faults(columns).n_images
            n_lost_known = file[layout.LOST_IMAGE_IDS].shape[0]  # the writer had begun to write the end of the run
            file[layout.N_LOST][()] = max(int(file[layout.N_LOST][()]), n_lost_known or layout.UNKNOWN_COUNT)
            last_ns = int(columns[layout.TIMESTAMP_NS].max(initial=0))
            end = iso_time(datetime.fromtimestamp(last_ns / 1e9, UTC))
            if last_ns and end > read_text(file, layout.START_TIME):
                file[layout.END_TIME][()] = encode_ascii(end, layout.MAX_TIME_BYTES)
            file[layout.REASON][()] = encode_ascii(RECOVERED, layout.MAX_REASON_BYTES)
            file[layout.VERDICT][()] = encode_ascii(Verdict.FAILED, layout.MAX_VERDICT_BYTES)
        if calibrations is not None and layout.END_CHECKSUM in file:
            file[layout.END_CHECKSUM][()] = end_checksum(file)
        file.flush()
    return tuple(actions)


def _open_calibrations(file: h5py.File) -> h5py.Dataset | None:
    """Return the list of calibrations, which stays in memory while it is open; None if it cannot be read."""
    try:
        dataset = file[layout.CALIBRATIONS]
        dataset[:]
    except UNREADABLE:
        return None
    return dataset


def _report_of_run(data_files: list[Path]) -> tuple[RunReport, bool]:
    """Return a report of a run, made from its data files because the run's own report is lost.

    Also return whether its number of lost images is known: the writer may have been killed before it was.
    """
    lost: set[int] = set()
    written: set[int] = set()
    verdicts, reasons = set(), set()
    faults: list[dict[str, FaultCount]] = []
    n_written = n_incomplete = 0
    n_lost = layout.UNKNOWN_COUNT
    for path in data_files:
        with open_hdf5(path, "r") as file:
            columns = read_columns(file)
            n_written += len(columns[layout.IMAGE_ID])
            written.update(columns[layout.IMAGE_ID].tolist())
            counter = count_faults(columns)
            n_incomplete += counter.n_images
            faults.append(counter.faults)
            n_lost = max(n_lost, int(file[layout.N_LOST][()]))
            lost.update(file[layout.LOST_IMAGE_IDS][:].tolist())
            verdicts.add(read_text(file, layout.VERDICT))
            reasons.add(read_text(file, layout.REASON))
            request_id = read_text(file, layout.REQUEST_ID)
            n_requested = int(file[layout.N_REQUESTED][()])
    # A writer may have closed its file before the images of another, killed one were found in that one's file.
    n_found = len(lost & written)
    lost -= written
    n_lost = n_lost if n_lost == layout.UNKNOWN_COUNT else max(n_lost - n_found, 0)
    is_agreed = len(verdicts) == 1 and len(reasons) == 1
    report = RunReport(
        request_id=request_id,
        verdict=Verdict(verdicts.pop()) if is_agreed else Verdict.FAILED,
        reason=reasons.pop() if is_agreed else f"{RECOVERED}: {'; '.join(sorted(filter(None, reasons)))}",
        n_requested=None if n_requested == layout.UNKNOWN_COUNT else n_requested,
        n_written=n_written,
        n_incomplete=n_incomplete,
        faults=sum_of_faults(faults),
        n_lost=max(n_lost, len(lost)),
        lost_image_ids=tuple(sorted(lost)),
    )
    return report, n_lost != layout.UNKNOWN_COUNT
