"""Copies PFF files into one HDF5 file."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np

from std_daq.errors import FileFormatError
from std_daq.telescope.pff.header import PACKET_FIELDS
from std_daq.telescope.pff.reader import PffFile

_FRAMES_AT_ONCE = 4096


def copy_to_hdf5(sources: Sequence[Path], path: Path) -> int:
    """Copy the frames of files of one product and module, in the order given; returns their number.

    The frames are ``/entry/data/data`` (n, rows, columns), which viewers of NeXus files plot. ``/entry/frames`` has the
    numbers of the headers (n, packets), both times (n), and ``is_sound`` (n): False marks a damaged header, whose
    numbers and times are 0.

    Parameters
    ----------
    sources
        The PFF files.
    path
        The file to make.

    Raises
    ------
    FileFormatError
        A source is no PFF file, its product or module is not that of the first, or no source has a whole frame.
    FileExistsError
        The file exists.
    """
    with ExitStack() as opened:
        files = [opened.enter_context(PffFile(source)) for source in sources]
        _check_alike(files)
        if not any(map(len, files)):
            raise FileFormatError(f"{', '.join(map(str, sources))}: no whole frame to copy; {path} is not made")
        opened.enter_context(_only_whole(path))
        with h5py.File(path, "x") as out:
            _copy(files, out)
        return sum(len(file) for file in files)


@contextmanager
def _only_whole(path: Path) -> Iterator[None]:
    """Remove the file if it was made here and something failed."""
    was_there = path.exists()
    try:
        yield
    except BaseException:
        if not was_there:
            path.unlink(missing_ok=True)
        raise


def _check_alike(files: Sequence[PffFile]) -> None:
    first = files[0]
    for file in files[1:]:
        if (file.product, file.name.module_id) != (first.product, first.name.module_id):
            raise FileFormatError(
                f"{file.path} is of another product or module than {first.path}; copy them separately"
            )


def _copy(files: Sequence[PffFile], out: h5py.File) -> None:
    product = files[0].product
    n_frames = sum(len(file) for file in files)
    entry = _group(out, "entry", "NXentry", default="data")
    data = _group(entry, "data", "NXdata", signal="data")
    chunk = (max(1, min(n_frames, 2**18 // product.image_bytes)), *product.shape)
    pixels = data.create_dataset(
        "data",
        (n_frames, *product.shape),
        product.dtype,
        maxshape=(None, *product.shape),
        chunks=chunk,
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )
    at = 0
    for file in files:
        for first in range(0, len(file), _FRAMES_AT_ONCE):
            part = file.pixels[first : first + _FRAMES_AT_ONCE]
            pixels[at : at + len(part)] = part
            at += len(part)
    columns = [file.stamps() for file in files]
    numbers = np.concatenate([numbers for numbers, _ in columns])
    frames = _group(entry, "frames", "NXcollection")
    frames["is_sound"] = np.concatenate([is_sound for _, is_sound in columns])
    for name in ("quabo_num", *PACKET_FIELDS):
        frames[name] = numbers[name]
    for name, times in (
        ("received_ns", [file.received_ns() for file in files]),
        ("white_rabbit_ns", [file.white_rabbit_ns() for file in files]),
    ):
        frames[name] = np.concatenate(times)
        frames[name].attrs["units"] = "ns"
    entry["product"] = product.name
    if files[0].name.module_id is not None:
        entry["module_id"] = files[0].name.module_id
    entry["files"] = [file.path.name for file in files]


def _group(parent: h5py.Group, name: str, kind: str, **attributes: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs.update({"NX_class": kind} | attributes)
    return group
