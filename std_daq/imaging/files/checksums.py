"""Checksums in an image file, so that a bit that flips in a closed file is found.

Each checksum is XXH3 with 64 bits, which ``xxhsum -H3`` and packages of many languages compute as well:

- of each image, over its chunk as it is stored in the file;
- of the metadata of each image, over its values in all arrays with one row per image;
- of each dataset that describes the run, written when the file is made;
- of what is written at the end of the run.

Structure, attributes and types need none: HDF5 keeps checksums of them itself in files of format 1.10.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import xxhash

from std_daq.checksums import ALGORITHM, checksum_of
from std_daq.imaging.files import layout
from std_daq.imaging.files.contents import columns_of
from std_daq.imaging.files.measured import paths_of_logs
from std_daq.imaging.files.texts import write_text, write_text_attribute


def metadata_checksums(columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint64]:
    """Return the checksum of each row, over its bytes in all arrays but that of these checksums, ordered by path.

    Parameters
    ----------
    columns
        Arrays of one length, by path, with the types that they have in the file.
    """
    parts = [
        np.ascontiguousarray(columns[path]).reshape(len(columns[path]), -1).view(np.uint8)
        for path in sorted(columns)
        if path != layout.METADATA_CHECKSUM and len(columns[path])
    ]
    if not parts:
        return np.zeros(0, np.uint64)
    joined = np.concatenate(parts, axis=1)
    rows: list[bytes] = joined.view(f"V{joined.shape[1]}").ravel().tolist()
    return np.fromiter(map(checksum_of, rows), np.uint64, len(rows))


def end_checksum(
    file: h5py.File, values: Mapping[str, Any] | None = None, lost_ids: npt.NDArray[np.uint64] | None = None
) -> int:
    """Return the checksum of the end of the run, and of calibrations and measured values, which come during the run.

    Parameters
    ----------
    file
        The image file.
    values, lost_ids
        What is going to take the place of values, by path, and of the ids of lost images.
    """
    state = xxhash.xxh3_64()
    for path in layout.END_VALUES:
        value = file[path][()] if values is None else values[path]
        state.update(np.array(value, file[path].dtype).tobytes())
    state.update(np.ascontiguousarray(file[layout.LOST_IMAGE_IDS][:] if lost_ids is None else lost_ids).tobytes())
    state.update(file[layout.CALIBRATIONS][:].tobytes())
    for path in paths_of_logs(file):
        state.update(file[path][:].tobytes())
    return int(state.intdigest())


def write_description_checksums(file: h5py.File, known: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
    """Store the checksums of the datasets that describe the run, once all of them are written.

    Parameters
    ----------
    file
        The image file.
    known
        What large datasets hold, by path; they are not read again.
    """
    checksums = {}
    for path, dataset in _described(file):
        data = known[path].astype(dataset.dtype, copy=False) if known and path in known else None
        checksums[path] = f"{_checksum_of_dataset(dataset, data):016x}"
    write_text(file, layout.DESCRIPTION_CHECKSUMS, json.dumps(checksums))


def create_checksums(file: h5py.File) -> None:
    """Create the group of the checksums, with the place of the end's."""
    group = file.create_group(layout.CHECKSUMS)
    write_text_attribute(group, "NX_class", "NXcollection")
    write_text_attribute(group, "algorithm", ALGORITHM)
    file.create_dataset(layout.END_CHECKSUM, data=np.uint64(0))


def changed_descriptions(file: h5py.File) -> Iterator[str]:
    """Yield the paths of the datasets whose checksum is wrong, or which are gone.

    Raises
    ------
    ValueError
        The list of the checksums is damaged itself.
    """
    checksums: dict[str, str] = json.loads(file[layout.DESCRIPTION_CHECKSUMS][()])
    for path, checksum in checksums.items():
        dataset = file.get(path)
        if not isinstance(dataset, h5py.Dataset) or f"{_checksum_of_dataset(dataset):016x}" != checksum:
            yield path


def _checksum_of_dataset(dataset: h5py.Dataset, data: npt.NDArray[Any] | None = None) -> int:
    value = np.asarray(dataset[()], dataset.dtype) if data is None else data
    return checksum_of(value.tobytes())


def _described(file: h5py.File) -> list[tuple[str, h5py.Dataset]]:
    """Return the datasets that no other checksum covers."""
    found: list[tuple[str, h5py.Dataset]] = []
    others = {layout.PIXELS, layout.CALIBRATIONS, layout.LOST_IMAGE_IDS, layout.DESCRIPTION_CHECKSUMS}
    others |= {layout.END_CHECKSUM, *layout.END_VALUES, *columns_of(file), *paths_of_logs(file)}

    def visit(_: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and item.name not in others:
            found.append((str(item.name), item))

    file.visititems(visit)
    return found
