"""The result of an analysis as a file: HDF5 with clouds, labels and estimates, or Parquet with estimates alone."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5p, h5s, h5t
from numpy.typing import NDArray

from std_daq.errors import HDF5_ERRORS
from std_daq.folders.new_file import NewFile
from std_daq.tpc.offline.result_part import ResultPart
from std_daq.tpc.reconstruction.results import ESTIMATE

HDF5_SUFFIXES = (".h5", ".hdf5")
PARQUET_SUFFIX = ".parquet"
_MARK = "parameters"  # an attribute of each result
_UNREADABLE: tuple[type[Exception], ...] = (ValueError, *HDF5_ERRORS)  # pyarrow raises a kind of ValueError


def write_result(path: Path, parts: Iterable[ResultPart], attributes: Mapping[str, str]) -> None:
    """Write the parts, in the order of their numbers; the file is there as a whole or not at all."""
    write = _write_parquet if path.suffix == PARQUET_SUFFIX else _write_hdf5
    with NewFile(path) as new:
        write(new.opened, parts, attributes)
        os.fsync(new.fd)
        new.replace()


def is_result(path: Path) -> bool:
    """Return whether a file is the result of an analysis, or empty; the attributes that each result has tell it."""
    if not path.stat().st_size:
        return True
    try:
        if path.suffix == PARQUET_SUFFIX:
            from pyarrow import parquet

            return _MARK.encode() in (parquet.read_schema(path).metadata or {})
        with h5py.File(path, "r", locking=False) as file:
            return _MARK in file.attrs and "estimates" in file
    except _UNREADABLE:
        return False


def _write_hdf5(path: Path, parts: Iterable[ResultPart], attributes: Mapping[str, str]) -> None:
    estimates = [np.empty(0, ESTIMATE)]
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.update(attributes)
        events = _EventWriter(file)
        for part in parts:
            estimates.append(part.estimates)
            events.add(part)
        table = np.concatenate(estimates)
        group = file.create_group("estimates")
        for column in ESTIMATE.names or ():
            group.create_dataset(column, data=table[column])


class _EventWriter:
    """Writes clouds and labels. With the plain interface of h5py, each of these small datasets takes twice as long."""

    def __init__(self, file: h5py.File) -> None:
        self._clouds, self._labels = (file.create_group(name).id for name in ("clouds", "labels"))
        self._properties = h5p.create(h5p.DATASET_CREATE)
        self._properties.set_obj_track_times(False)
        self._properties.set_fill_time(h5d.FILL_TIME_NEVER)
        self._scalar = h5s.create(h5s.SCALAR)

    def add(self, part: ResultPart) -> None:
        """Write the datasets of a part."""
        ends = np.cumsum(part.n_points).tolist()
        ids, epochs = part.ids.astype(np.uint64), part.epochs.astype(np.uint32)
        for i, number in enumerate(part.numbers.tolist()):
            rows = slice(ends[i - 1] if i else 0, ends[i])
            name = f"event_{number}".encode()
            for group, kind, values in (
                (self._clouds, h5t.IEEE_F64LE, part.clouds[rows]),
                (self._labels, h5t.STD_I32LE, part.labels[rows]),
            ):
                dataset = h5d.create(group, name, kind, h5s.create_simple(values.shape), self._properties)
                dataset.write(h5s.ALL, h5s.ALL, values)
                self._attach(dataset, b"id", h5t.STD_U64LE, ids[i : i + 1])
                self._attach(dataset, b"epoch", h5t.STD_U32LE, epochs[i : i + 1])

    def _attach(self, dataset: Any, name: bytes, kind: Any, value: NDArray[Any]) -> None:
        h5a.create(dataset, name, kind, self._scalar).write(value.reshape(()))


def _write_parquet(path: Path, parts: Iterable[ResultPart], attributes: Mapping[str, str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = np.concatenate([np.empty(0, ESTIMATE), *(part.estimates for part in parts)])
    columns = {name: np.ascontiguousarray(table[name]) for name in ESTIMATE.names or ()}
    parquet.write_table(pa.table(columns).replace_schema_metadata(dict(attributes)), path)
