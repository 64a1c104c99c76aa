"""Checks of an image file against the checksums in it."""

from collections.abc import Callable, Iterable

import h5py
import numpy as np

from std_daq.checksums import checksum_of
from std_daq.imaging.files import layout
from std_daq.imaging.files.checksums import changed_descriptions, end_checksum, metadata_checksums
from std_daq.imaging.files.contents import UNREADABLE, Columns, read_columns, read_text

Report = Callable[[str, str], None]

RESTORE = "take the file from a copy; what this names is not what was written"
_MANY_ROWS = 20


def check_checksums(file: h5py.File, columns: Columns, error: Report) -> None:
    """Check everything but the pixels of a file against its checksums; a file of an older layout has none.

    Parameters
    ----------
    file
        The file.
    columns
        Its arrays with one row per image.
    error
        Called with each problem and its remedy.
    """
    _read_attributes(file)
    if layout.METADATA_CHECKSUM not in columns:
        return
    try:
        changed = [*changed_descriptions(file)]
    except ValueError:
        error(f"{layout.DESCRIPTION_CHECKSUMS} is damaged", RESTORE)
    else:
        if changed:
            error(f"{', '.join(changed)} changed after the file was written: wrong checksum", RESTORE)
    # The checksum of the end comes with the verdict.
    if read_text(file, layout.VERDICT) and int(file[layout.END_CHECKSUM][()]) != end_checksum(file):
        names = ", ".join(path.rpartition("/")[2] for path in (*layout.END_VALUES, layout.LOST_IMAGE_IDS))
        error(
            f"the end of the run changed after it was written, one of {names}, calibrations, measured values: wrong "
            "checksum",
            RESTORE,
        )
    n_rows = min(len(column) for column in columns.values())
    rows = {path: column[:n_rows] for path, column in columns.items()}
    wrong = np.flatnonzero(metadata_checksums(rows) != rows[layout.METADATA_CHECKSUM])
    if len(wrong):
        error(f"metadata changed after they were written, of {named(wrong.tolist(), columns)}: wrong checksum", RESTORE)


def read_pixels(
    pixels: h5py.Dataset, rows: Iterable[int], columns: Columns, error: Report, after_each: Callable[[], None]
) -> int:
    """Read images, and compare their chunks with their checksums; return how many images were read.

    Parameters
    ----------
    pixels
        Dataset of the pixels.
    rows
        Rows of the images to read.
    columns
        Arrays with one row per image.
    error
        Called with each problem and its remedy.
    after_each
        Called after each image.
    """
    checksums = columns.get(layout.IMAGE_CHECKSUM, ())
    buffer = np.empty(pixels.shape[1:], pixels.dtype)
    changed, unreadable, n_read = [], {}, 0
    for row in rows:
        try:
            if row < len(checksums) and not _is_right(pixels, row, int(checksums[row])):
                changed.append(row)
            else:
                pixels.read_direct(buffer, np.s_[row])
                n_read += 1
        except UNREADABLE as failure:
            unreadable[row] = failure
            if len(unreadable) == _MANY_ROWS:
                break
        after_each()
    if changed:
        error(f"pixels changed after they were written, of {named(changed, columns)}: wrong checksum", RESTORE)
    for row, why in unreadable.items():
        error(f"pixels of {named([row], columns)} cannot be read: {why}", "")
    if len(unreadable) == _MANY_ROWS:
        error("the pixels of further images were not read", "")
    return n_read


def _is_right(pixels: h5py.Dataset, row: int, checksum: int) -> bool:
    _, chunk = pixels.id.read_direct_chunk((row, 0, 0))
    return checksum_of(chunk) == checksum


def count_whole(file: h5py.File, n_images: int) -> int:
    """Return how many images remain without those at the end whose pixels did not get to the disk before a power cut.

    Only images whose metadata are right are left out: if their checksums are damaged, nothing is known of the pixels.
    """
    columns = read_columns(file, n_images)
    if layout.METADATA_CHECKSUM not in columns:
        return n_images
    rights = metadata_checksums(columns) == columns[layout.METADATA_CHECKSUM]
    checksums = columns[layout.IMAGE_CHECKSUM]
    while n_images and rights[n_images - 1]:
        if _is_right(file[layout.PIXELS], n_images - 1, int(checksums[n_images - 1])):
            break
        n_images -= 1
    return n_images


def named(rows: Iterable[int], columns: Columns) -> str:
    """Return a text that names images by their row and id, not all of very many."""
    rows = list(rows)
    ids = columns[layout.IMAGE_ID]
    names = [f"{row} (id {ids[row]})" if row < len(ids) else str(row) for row in rows[:_MANY_ROWS]]
    more = f" and {len(rows) - _MANY_ROWS} more" if len(rows) > _MANY_ROWS else ""
    return f"image{'s' if len(rows) > 1 else ''} {', '.join(names)}{more}"


def _read_attributes(file: h5py.File) -> None:
    """Read all attributes: HDF5 compares its checksums of the structure, which has no others."""

    def visit(_: str, item: h5py.HLObject) -> None:
        for name in item.attrs:
            item.attrs[name]

    visit("", file)
    file.visititems(visit)
