"""The beginning of a merged file: everything in it but events, and the space for it on the disk."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from std_daq.errors import HDF5_ERRORS
from std_daq.folders.new_file import NewFile
from std_daq.hdf5 import FORMAT_VERSION, close_regardless, explained_error, open_hdf5
from std_daq.recording.disk_file import DiskFile, try_write
from std_daq.tpc.merged import layout
from std_daq.tpc.merged.description import MergedFileDescription
from std_daq.tpc.merged.event_log import EventLog

END_BYTES = 1024 * 1024
"""Space that is kept for the end of the run."""
_BEGINNING_BYTES = 1024 * 1024


def begin(new: NewFile, description: MergedFileDescription) -> h5py.File:
    """Write everything but events into a new file; leave nothing of it behind if that fails."""
    file = None
    try:
        try_write(new.fd)
        file = open_hdf5(new.opened, "w", libver=FORMAT_VERSION)
        _write_beginning(file, description)
        file.flush()
    except BaseException:
        new.close()
        if file is not None:
            close_regardless(file)
        raise
    return file


def _write_beginning(file: h5py.File, description: MergedFileDescription) -> None:
    version = layout.VERSIONS_OF_WRITING[description.layout]
    events = file.create_group(layout.EVENTS)
    for name in ("min_event", "max_event", "min_get_ts", "max_get_ts"):
        events.attrs.create(name, 0, dtype="u8")
    for name in ("frib_run", "frib_start", "frib_stop", "frib_time"):
        events.attrs.create(name, 0, dtype="u4")
    events.attrs["version"] = version
    scalers = file.create_group(layout.SCALERS)
    for name in ("min_event", "max_event"):
        scalers.attrs.create(name, 0, dtype="u4")
    scalers.attrs["version"] = version
    file.attrs[layout.REQUEST_ID] = description.request_id
    file.attrs[layout.REQUEST] = description.request_json
    file.attrs[layout.CONFIGURATION] = description.configuration_json
    file.attrs[layout.VERSIONS] = json.dumps(description.versions)
    file.attrs[layout.REPORT] = ""


def open_on_disk(path: Path) -> DiskFile:
    """Return a file whose beginning is written, with space for what comes first and last; raises OSError."""
    disk = DiskFile(path, END_BYTES)
    try:
        disk.reserve(_BEGINNING_BYTES)
    except BaseException:
        disk.close()
        raise
    return disk


def discard(file: h5py.File, new: NewFile, log: EventLog | None) -> None:
    """Close and remove a file that could not be begun, and its log."""
    new.close()
    close_regardless(file)
    if log is not None:
        log.close(is_needed=False)


@contextmanager
def creating(path: Path) -> Iterator[None]:
    """Let errors of what is done say that the file cannot be created, and why."""
    try:
        yield
    except FileExistsError:
        raise
    except HDF5_ERRORS as error:
        raise explained_error(error, path, "cannot create the file") from error
