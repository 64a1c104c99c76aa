"""The result of an analysis as a file: HDF5 with clouds, labels and estimates, or Parquet with estimates alone."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np

from std_daq.folders.new_file import NewFile
from std_daq.tpc.offline.result_part import ResultPart
from std_daq.tpc.reconstruction.results import ESTIMATE

HDF5_SUFFIXES = (".h5", ".hdf5")
PARQUET_SUFFIX = ".parquet"


def write_result(path: Path, parts: Iterable[ResultPart], attributes: Mapping[str, str]) -> None:
    """Write the parts, in the order of their numbers; the file is there as a whole or not at all."""
    write = _write_parquet if path.suffix == PARQUET_SUFFIX else _write_hdf5
    with NewFile(path) as new:
        write(new.opened, parts, attributes)
        os.fsync(new.fd)
        new.replace()


def _write_hdf5(path: Path, parts: Iterable[ResultPart], attributes: Mapping[str, str]) -> None:
    estimates = [np.empty(0, ESTIMATE)]
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.update(attributes)
        clouds, labels = file.create_group("clouds"), file.create_group("labels")
        for part in parts:
            estimates.append(part.estimates)
            ends = np.cumsum(part.n_points)
            for number, event_id, epoch, begin, end in zip(
                part.numbers, part.ids, part.epochs, ends - part.n_points, ends, strict=True
            ):
                name = f"event_{number}"
                for group, rows in ((clouds, part.clouds), (labels, part.labels)):
                    dataset = group.create_dataset(name, data=rows[begin:end])
                    dataset.attrs["id"] = np.uint64(event_id)
                    dataset.attrs["epoch"] = np.uint32(epoch)
        table = np.concatenate(estimates)
        group = file.create_group("estimates")
        for column in ESTIMATE.names or ():
            group.create_dataset(column, data=table[column])


def _write_parquet(path: Path, parts: Iterable[ResultPart], attributes: Mapping[str, str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = np.concatenate([np.empty(0, ESTIMATE), *(part.estimates for part in parts)])
    columns = {name: np.ascontiguousarray(table[name]) for name in ESTIMATE.names or ()}
    parquet.write_table(pa.table(columns).replace_schema_metadata(dict(attributes)), path)
