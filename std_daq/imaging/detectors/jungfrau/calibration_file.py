"""Reading of HDF5 calibration files, with checks of shapes and types."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from std_daq.errors import HDF5_ERRORS, CalibrationError
from std_daq.imaging.detectors.interface import CalibrationFile

HASH_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Time, size and inode of a file, from which a change or replacement of the file is recognised."""

    path: Path
    mtime_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path, role: str) -> "FileStamp":
        """Return the stamp of a file; raises CalibrationError if the file cannot be read."""
        try:
            stat = path.stat()
        except OSError as error:
            raise CalibrationError(
                f"the {role} file cannot be read: {error.strerror}",
                file=path,
                remedy="relative paths start at the working directory of the service",
            ) from None
        return cls(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)


@contextmanager
def open_calibration(path: Path, role: str) -> Iterator[tuple[Any, CalibrationFile, FileStamp]]:
    """Open a file for reading; yield its HDF5 root, its checksum and its stamp.

    Raises
    ------
    CalibrationError
        The file is missing, is not an HDF5 file, or was changed while it was read.
    """
    import h5py
    import hdf5plugin  # noqa: F401 - registers the filters that files may be compressed with

    stamp = FileStamp.of(path, role)
    try:
        digest = _sha256(path)
        file = h5py.File(path, "r")
    except HDF5_ERRORS as error:
        raise CalibrationError(f"the {role} file is not a readable HDF5 file: {error}", file=path) from None
    try:
        with file:
            yield file, CalibrationFile(role, path, digest), stamp
    except HDF5_ERRORS as error:
        raise CalibrationError(f"the {role} file is damaged: {error!r}", file=path) from error
    if FileStamp.of(path, role) != stamp:
        raise CalibrationError(
            f"the {role} file was changed while it was read",
            file=path,
            remedy="write a new file beside it and rename it to this name",
        )


def dataset(file: Any, name: str, shapes: list[tuple[int, ...]], kinds: str, path: Path) -> Any:
    """Return a dataset, whose shape must be one of ``shapes`` and whose type one of numpy's ``kinds``.

    Raises
    ------
    CalibrationError
        The dataset is missing or does not fit. The message names the dataset, what was found and what was expected.
    """
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        present = ", ".join(f"/{key}" for key in file) or "nothing"
        raise CalibrationError("there is no such dataset", file=path, key=name, remedy=f"the file holds {present}")
    if found.shape not in shapes:
        expected = " or ".join(map(str, shapes))
        raise CalibrationError(f"the shape is {found.shape}", file=path, key=name, remedy=f"expected {expected}")
    if found.dtype.kind not in kinds:
        raise CalibrationError(f"the type {found.dtype} cannot be used for these numbers", file=path, key=name)
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
