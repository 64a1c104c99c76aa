"""Dealing with HDF5: version of the format, cache of metadata, errors, closing what cannot be written."""

import errno
import os
import resource
from pathlib import Path

import h5py

# Version 1.10 of the format is what SWMR needs; every reader of the last years knows it, unlike the latest.
FORMAT_VERSION = ("v110", "v110")
_METADATA_CACHE_BYTES = 16 * 1024 * 1024


def keep_metadata_in_memory(file: h5py.File) -> None:
    """Let HDF5 write metadata at a flush only, not in between to make room in its cache.

    The cache gets a fixed size that one flush interval never fills: what it throws out for new entries is what was
    used longest ago, and that was written by an earlier flush.
    """
    settings = file.id.get_mdc_config()
    settings.set_initial_size = True
    settings.initial_size = settings.min_size = settings.max_size = _METADATA_CACHE_BYTES
    settings.incr_mode = settings.decr_mode = settings.flash_incr_mode = 0
    file.id.set_mdc_config(settings)


def explained_error(error: Exception, path: Path, what: str) -> OSError:
    """Return an OSError that says what could not be done, with the number that the system gave if known."""
    number = error.errno if isinstance(error, OSError) else None
    cause = str(error)
    if number is None:
        number = next((n for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(n) in cause), errno.EIO)
    if number == errno.EIO:
        return OSError(number, f"{what}: {cause}", str(path))
    return OSError(number, f"{what}: {os.strerror(number)}", str(path))


def close_regardless(file: h5py.File) -> None:
    """Close a file that can perhaps not be written any more, and leave it as it is.

    HDF5 crashes the process, at once or later, when the last writes of a file that is being closed fail. So they go
    into memory that nobody reads, past any limit on the size of files.
    """
    void = os.memfd_create("unwritable", os.MFD_CLOEXEC)
    os.dup2(void, file.id.get_vfd_handle(), inheritable=False)
    os.close(void)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        file.close()
    except (OSError, RuntimeError):
        return
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
