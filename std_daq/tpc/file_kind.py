"""Kinds of files that runs make."""

from enum import StrEnum
from pathlib import Path

import h5py

from std_daq.errors import HDF5_ERRORS
from std_daq.tpc.merged.event_log import log_path

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_IMAGE_SUPERBLOCK = 3
_START_BYTES = 64  # the format comes first in an index


class FileKind(StrEnum):
    """Kind of a file."""

    IMAGES = "images"
    MERGED = "merged"
    GRAW = "graw"
    GRAW_INDEX = "graw index"
    PFF_INDEX = "pff index"


def kind_of(path: Path) -> FileKind:
    """Return the kind of a file; a file that is none of the others is taken for an image file.

    A merged file whose writer was killed cannot be opened, but has its event log beside it. One of another program may
    be damaged, but has an older superblock than image files have.
    """
    if not path.is_file():
        return FileKind.IMAGES
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    if len(start) > len(_HDF5_SIGNATURE) and start.startswith(_HDF5_SIGNATURE):
        return FileKind.MERGED if _is_merged(path, start[len(_HDF5_SIGNATURE)]) else FileKind.IMAGES
    index = FileKind.GRAW_INDEX if b'"format": "graw"' in start else FileKind.PFF_INDEX
    by_name = {".graw": FileKind.GRAW, ".json": index}
    return by_name.get(path.suffix, FileKind.IMAGES)


def _is_merged(path: Path, superblock_version: int) -> bool:
    if log_path(path).exists():
        return True
    try:
        with h5py.File(path, "r", locking=False) as file:
            return "events" in file or isinstance(file.get("meta"), h5py.Group)
    except HDF5_ERRORS:
        return superblock_version != _IMAGE_SUPERBLOCK
