"""Use of HDF5: version of the format, metadata cache, errors, and closing files that cannot be written any more."""

import errno
import os
import resource
from pathlib import Path
from typing import Any

import h5py

from std_daq.errors import HDF5_ERRORS
from std_daq.recording.locks import NO_LOCKS

# SWMR needs version 1.10 of the format. Readers of the last years know this version, but not always the latest one.
FORMAT_VERSION = ("v110", "v110")
_METADATA_CACHE_BYTES = 16 * 1024 * 1024


def open_hdf5(path: Path, mode: str, **options: Any) -> h5py.File:
    """Open a file with HDF5's lock, or without it on a file system that has no locks.

    Parameters
    ----------
    path, mode, options
        As `h5py.File` takes them.

    Raises
    ------
    OSError
        HDF5 cannot open the file.
    """
    try:
        return h5py.File(path, mode, locking="best-effort", **options)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return h5py.File(path, mode, locking=False, **options)


def keep_metadata_in_memory(file: h5py.File) -> None:
    """Make HDF5 write metadata only at a flush, and not in between to make room in its cache.

    The cache gets a fixed size, which the metadata of one flush interval never fill. If the cache needs room, it evicts
    the entries that were used longest ago; an earlier flush has already written these.
    """
    settings = file.id.get_mdc_config()
    settings.set_initial_size = True
    settings.initial_size = settings.min_size = settings.max_size = _METADATA_CACHE_BYTES
    settings.incr_mode = settings.decr_mode = settings.flash_incr_mode = 0
    file.id.set_mdc_config(settings)


def explained_error(error: Exception, path: Path, what: str) -> OSError:
    """Return an OSError that says what could not be done, with the errno of the system if it is known."""
    number = error.errno if isinstance(error, OSError) else None
    cause = str(error)
    if number is None:
        number = next((n for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(n) in cause), errno.EIO)
    if number == errno.EIO:
        return OSError(number, f"{what}: {cause}", str(path))
    return OSError(number, f"{what}: {os.strerror(number)}", str(path))


def close_regardless(file: h5py.File) -> None:
    """Close a file that can perhaps not be written any more, without changing it.

    If a write fails while HDF5 closes a file, HDF5 crashes the process, at once or later. Therefore the last writes are
    redirected to memory that nobody reads, and the limit on the size of files is lifted for them.
    """
    void = os.memfd_create("unwritable", os.MFD_CLOEXEC)
    os.dup2(void, file.id.get_vfd_handle(), inheritable=False)
    os.close(void)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        file.close()
    except HDF5_ERRORS:
        return
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
