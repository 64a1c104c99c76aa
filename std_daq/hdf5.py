"""Use of HDF5: version of the format, metadata cache, errors, and closing files that cannot be written any more."""

import ctypes
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
# HDF5 waits twice as long before each further attempt: 1 ns, 2 ns and so on. By default it makes 100 attempts, which
# would take longer than anybody lives. These take 1/60 s.
_READ_ATTEMPTS = 24
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


def open_growing(path: Path, *, locking: bool = True) -> h5py.File:
    """Open a file for reading that a writer has open, or had open when it was killed.

    While a writer lives, a reader may meet a piece of metadata that is half written. HDF5 then reads it again. In a
    damaged file it stays wrong, so the number of attempts is limited.

    Parameters
    ----------
    path
        Path of the file.
    locking
        Whether HDF5 locks the file while it opens it, as far as its file system has locks.

    Raises
    ------
    OSError
        HDF5 cannot open the file.
    """
    try:
        return _open_growing(path, locking=locking)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return _open_growing(path, locking=False)


def _open_growing(path: Path, *, locking: bool) -> h5py.File:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_file_locking(locking, True)
    set_attempts = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts  # which h5py does not offer
    set_attempts.argtypes = (ctypes.c_int64, ctypes.c_uint)
    if set_attempts(access.id, _READ_ATTEMPTS) < 0:
        raise OSError(errno.EINVAL, "HDF5 does not limit its attempts to read", str(path))
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, access))


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
