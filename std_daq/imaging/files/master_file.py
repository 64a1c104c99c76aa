"""The master file of a run with several data files: a virtual dataset of all their pixels, and all their metadata."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from std_daq.errors import FileFormatError
from std_daq.folders.new_file import NewFile, check_is_free
from std_daq.folders.open_folder import OpenFolder
from std_daq.hdf5 import FORMAT_VERSION, open_hdf5
from std_daq.imaging.files import layout
from std_daq.imaging.files.checksums import write_description_checksums
from std_daq.imaging.files.contents import Columns, check_layout, columns_of, read_columns, read_text
from std_daq.imaging.files.ending import write_report
from std_daq.imaging.files.measured import (
    create_logs,
    joined_logs,
    paths_of_logs,
    read_logs,
    room_of_logs,
    write_logs,
)
from std_daq.imaging.files.nexus import write_root_attributes
from std_daq.imaging.files.texts import text_type, write_text_attribute, write_texts
from std_daq.recording.disk_file import room_behind, sync_file, sync_folder, try_write
from std_daq.recording.file_access import FileAccess
from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.requests import RunReport

# HDF5 searches all parts of a virtual dataset each time a reader opens it, so their number is limited.
_MAX_PARTS = 4096
_STRUCTURE_BYTES = 4 * 1024 * 1024
_PART_BYTES = 1024
_RESTART_GAP_NS = 1_000_000_000


def write_master(
    path: Path,
    data_files: Sequence[Path],
    report: RunReport,
    *,
    access: FileAccess | None = None,
    is_n_lost_known: bool = True,
    folder: OpenFolder | None = None,
    logs: ValueLogs = NO_LOGS,
) -> None:
    """Write the master file of finished data files, and check that it shows their pixels.

    The master shows the images in the order in which the detector took them, whichever file they are in. Its metadata
    are those of the first data file. The master appears under its name only when it is complete.

    Parameters
    ----------
    path
        Path of the master, which must not exist; it must be in the folder of the data files.
    data_files
        All data files of the run.
    report
        Report of the run.
    access
        Who may use the master; by default whoever may use the first data file.
    is_n_lost_known
        Whether the report knows how many images are lost.
    folder
        The folder of the files, if the caller has opened it.
    logs
        What other programs have measured, besides the logs of the data files.

    Raises
    ------
    FileExistsError
        `path` exists already; it is left unchanged.
    FileFormatError
        The data files do not belong together or are not readable.
    OSError
        The master cannot be written.
    """
    check_is_free(path, folder)
    if not data_files:
        raise FileFormatError(f"{path}: a master file needs data files")
    with NewFile(path, folder) as new:
        try_write(new.fd)
        with (
            open_hdf5(new.opened, "w", libver=FORMAT_VERSION) as master,
            room_behind(new.opened, _room_of(data_files, report) + room_of_logs(logs)),
        ):
            n_images = _write_contents(master, path, data_files, logs)
            end = report.ended_at or datetime.now(UTC)
            write_report(master, report, n_images=n_images, end=end, is_n_lost_known=is_n_lost_known)
        _check_pixels(new.partial, path, data_files)
        sync_file(path.with_name(new.name), lambda: None, new.folder)
        (access or FileAccess.like(data_files[0])).apply(new.fd)
        new.appear()
        sync_folder(new.folder.at("."))


def virtual_name(data_file: Path) -> str:
    """Return the name of a data file as a virtual dataset has it: HDF5 reads it as a pattern, in which % is special."""
    return data_file.name.replace("%", "%%")


def absent_pixel(dtype: npt.DTypeLike) -> float | int:
    """Return what a master shows for pixels whose data file is missing or cannot be opened.

    HDF5 raises no error for them, so the value is one that readers take as masked: NaN, the highest value of unsigned
    pixels, the lowest of signed ones.
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return np.nan
    return int(np.iinfo(dtype).max if dtype.kind == "u" else np.iinfo(dtype).min)


def _room_of(data_files: Sequence[Path], report: RunReport) -> int:
    """Return how much space a master takes at most, in bytes.

    HDF5 crashes if it cannot write while it closes objects, so it gets its room first.
    """
    n_mask, n_bytes = 0, _STRUCTURE_BYTES + 8 * len(report.lost_image_ids)
    for data_file in data_files:
        with open_hdf5(data_file, "r") as source:
            check_layout(source)
            columns = (source[path] for path in (*columns_of(source), layout.CALIBRATIONS))
            n_bytes += sum(column.size * column.dtype.itemsize for column in columns)
            n_bytes += _PART_BYTES + room_of_logs(read_logs(source))
            n_mask = source[layout.PIXELS].shape[1] * source[layout.PIXELS].shape[2] * 4
    return n_bytes + n_mask


def _write_contents(master: h5py.File, path: Path, data_files: Sequence[Path], logs: ValueLogs) -> int:
    """Write everything but the end of the run; return the number of images."""
    folder = path.parent
    shapes: list[tuple[int, ...]] = []
    tables: list[Columns] = []
    runs: list[str] = []
    measured: list[ValueLogs] = [logs]
    calibrations: dict[bytes, None] = {}  # in the order of their first use
    for number, data_file in enumerate(data_files):
        if data_file.parent != folder:
            raise FileFormatError(f"{data_file}: data files must be in the folder of their master, {folder}")
        with open_hdf5(data_file, "r") as source:
            check_layout(source)
            pixels = source[layout.PIXELS]
            columns = read_columns(source)
            if any(len(column) != pixels.shape[0] for column in columns.values()):
                raise FileFormatError(f"{data_file}: its datasets have different lengths; run std-daq recover on it")
            if number == 0:
                _copy_metadata(source, master, columns)
                write_root_attributes(master, path.name, datetime.now(UTC))
                dtype, n_modules = pixels.dtype, columns[layout.MISSING_PACKETS].shape[1]
            elif (pixels.dtype, pixels.shape[1:], columns[layout.MISSING_PACKETS].shape[1], columns.keys()) != (
                dtype,
                shapes[0][1:],
                n_modules,
                tables[0].keys(),
            ):
                raise FileFormatError(f"{data_file}: images have another shape, type or layout than in {data_files[0]}")
            shapes.append(pixels.shape)
            calibrations |= dict.fromkeys(source[layout.CALIBRATIONS][:])
            tables.append(columns)
            runs.append(read_text(source, layout.REQUEST_ID))
            measured.append(read_logs(source))
    places = _places_of_rows(tables, runs)
    n_images = sum(shape[0] for shape in shapes)
    virtual = h5py.VirtualLayout(shape=(n_images, *shapes[0][1:]), dtype=dtype)
    for data_file, shape, rows in zip(data_files, shapes, places, strict=True):
        source_rows = h5py.VirtualSource(virtual_name(data_file), layout.PIXELS, shape=shape, dtype=dtype)
        for first, end, step in _stretches(rows):
            last = rows[end - 1]
            virtual[int(rows[first]) : int(last) + 1 : step] = source_rows[first:end]
    pixels = master.create_virtual_dataset(layout.PIXELS, virtual, fillvalue=absent_pixel(dtype))
    write_text_attribute(pixels, "interpretation", "image")
    _write_columns(master, tables, places)
    with open_hdf5(data_files[0], "r") as source:
        for column in tables[0]:
            _copy_attributes(source[column], master[column])
    room = text_type(layout.MAX_CALIBRATION_BYTES, is_ascii=True)
    master.create_dataset(layout.CALIBRATIONS, data=np.array([*calibrations], room.dtype), dtype=room)
    _write_measured(master, joined_logs(measured))
    write_texts(master, layout.DATA_FILES, [os.fsencode(data_file.name) for data_file in data_files])
    if layout.END_CHECKSUM in master:
        write_description_checksums(master)
    return n_images


def _write_measured(master: h5py.File, logs: ValueLogs) -> None:
    create_logs(master, {name: log.unit for name, log in logs.items()})
    write_logs({path: master[path] for path in paths_of_logs(master)}, logs)


def _copy_metadata(source: h5py.Group, target: h5py.Group, columns: Columns) -> None:
    """Copy the metadata that are the same in all files of a run, and the attributes of all else."""
    _copy_attributes(source, target)
    for name in source:
        link = source.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            target[name] = h5py.SoftLink(link.path)
        elif source[name].name == layout.MEASURED:
            continue
        elif isinstance(source[name], h5py.Group):
            _copy_metadata(source[name], target.create_group(name), columns)
        elif source[name].name not in {layout.PIXELS, layout.CALIBRATIONS, layout.DESCRIPTION_CHECKSUMS, *columns}:
            source.copy(name, target)


def _copy_attributes(source: h5py.HLObject, target: h5py.HLObject) -> None:
    """Copy attributes with the types that they have in the file, which h5py alone would replace by its own."""
    for name in source.attrs:
        kind = h5py.h5a.open(source.id, name.encode()).get_type()
        target.attrs.create(name, source.attrs.get(name), dtype=h5py.Datatype(kind))


def _places_of_rows(tables: Sequence[Columns], runs: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """Return for each file the rows of its images in the master; ``runs`` names the run of each file."""
    lengths = [len(columns[layout.FRAME_INDEX]) for columns in tables]
    ends = np.cumsum(lengths)
    frames, times = _frames_and_times(tables)
    order = np.argsort(frames, kind="stable")
    # The clocks of servers differ, so the times of each run are compared only with one another.
    if any(_has_restart([table for table, of in zip(tables, runs, strict=True) if of == run]) for run in set(runs)):
        order = np.argsort(times, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    places = np.split(place, ends[:-1])
    if sum(1 for rows in places for _ in _stretches(rows)) > _MAX_PARTS:
        places = np.split(np.arange(len(order)), ends[:-1])
    return places


def _frames_and_times(tables: Sequence[Columns]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    times = np.concatenate([columns[layout.TIMESTAMP_NS] for columns in tables]).astype(np.int64)
    return np.concatenate([columns[layout.FRAME_INDEX] for columns in tables]), times


def _has_restart(tables: Sequence[Columns]) -> bool:
    """Return whether the detector was restarted during a run, so that it counts from the beginning again."""
    frames, times = _frames_and_times(tables)
    return bool((np.diff(times[np.argsort(frames, kind="stable")]) < -_RESTART_GAP_NS).any())


def _stretches(rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Yield the stretches of rows that rise by the same step: first, end (not included) and step."""
    steps = np.diff(rows)
    changes = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    first = 0
    while first < len(rows):
        if first == len(rows) - 1 or steps[first] < 1:
            yield first, first + 1, 1
            first += 1
            continue
        following = np.searchsorted(changes, first, side="right")
        end = (int(changes[following]) if following < len(changes) else len(steps)) + 1
        yield first, end, int(steps[first])
        first = end


def _write_columns(master: h5py.File, tables: Sequence[Columns], places: Sequence[npt.NDArray[np.int64]]) -> None:
    place = np.concatenate(places)
    for path in tables[0]:
        rows: npt.NDArray[Any] = np.concatenate([columns[path] for columns in tables])
        in_order = np.empty_like(rows)
        in_order[place] = rows
        master.create_dataset(path, data=in_order)


def _check_pixels(partial: Path, path: Path, data_files: Sequence[Path]) -> None:
    """Check that the master shows the first and the last image of each data file."""
    with open_hdf5(partial, "r") as master:
        ids = master[layout.IMAGE_ID][:]
        for data_file in data_files:
            with open_hdf5(data_file, "r") as source:
                n_rows = source[layout.PIXELS].shape[0]
                for row in {0, n_rows - 1} if n_rows else ():
                    candidates = np.flatnonzero(ids == source[layout.IMAGE_ID][row])
                    expected = source[layout.PIXELS][row].tobytes()
                    if not any(master[layout.PIXELS][i].tobytes() == expected for i in candidates):
                        raise FileFormatError(f"{path}: does not show image {row} of {data_file}")
