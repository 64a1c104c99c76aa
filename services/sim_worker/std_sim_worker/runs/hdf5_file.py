"""Writes the hits of a run as HDF5.

::

    detinfo/pmt_x, pmt_y, pmt_z, pmt_type    a row for each channel
    output/event_id                          a row for each event
    output/n_hits                            number of hits of each event
    output/channel, dx, ..., flags           the hits of all events, one event after the other
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from std_daq.photons.backend import Channels
from std_daq.photons.records import HIT

ENDING = ".charon.h5"
_ROWS_A_CHUNK = 1 << 14


def write_hdf5(path: Path, channels: Channels, rows: Iterable[tuple[int, NDArray[np.void]]]) -> None:
    """Write a file; one row for each event, in the order in which they are given."""
    with h5py.File(path, "w") as file:
        detinfo = file.create_group("detinfo")
        for index, axis in enumerate("xyz"):
            detinfo[f"pmt_{axis}"] = channels.positions[:, index]
        detinfo["pmt_type"] = channels.types
        output = file.create_group("output")
        for name in ("event_id", "n_hits"):
            _column(output, name, np.dtype("<u4"))
        for name in HIT.names or ():
            _column(output, name, HIT[name])
        for event_id, hits in rows:
            _append(output["event_id"], np.array([event_id], np.uint32))
            _append(output["n_hits"], np.array([len(hits)], np.uint32))
            for name in HIT.names or ():
                _append(output[name], hits[name])


def _column(group: Any, name: str, dtype: np.dtype[Any]) -> None:
    group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(_ROWS_A_CHUNK,))


def _append(dataset: Any, values: NDArray[Any]) -> None:
    begin = len(dataset)
    dataset.resize(begin + len(values), axis=0)
    dataset[begin:] = values
