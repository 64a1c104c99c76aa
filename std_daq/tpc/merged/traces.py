"""Reading of the datasets of an event, with checks: a file may be damaged, or that of another program."""

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from std_daq.errors import FileFormatError
from std_daq.tpc.merged import layout

_N_MODULE_DIMENSIONS = 2


def read_traces(item: Any, what: str) -> NDArray[np.int16]:
    """Return a matrix of traces, int16 (n, 517); raises FileFormatError if the dataset holds something else."""
    if not isinstance(item, h5py.Dataset):
        raise FileFormatError(f"{what} is not a dataset")
    shape, kind = item.shape, item.dtype
    if shape is None or len(shape) != 2 or shape[1] != layout.N_COLUMNS or kind.kind != "i" or kind.itemsize != 2:
        raise FileFormatError(f"{what} is {kind} {shape}, not int16 (n, {layout.N_COLUMNS})")
    if shape[0] > layout.MAX_TRACES:
        raise FileFormatError(
            f"{what} has {shape[0]} traces; the electronics have at most {layout.MAX_TRACES} channels"
        )
    return np.ascontiguousarray(item[()], np.int16)


def read_modules(items: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the data of the modules of the other acquisition; raises FileFormatError."""
    modules = {}
    for name, item in items.items():
        if not isinstance(item, h5py.Dataset):
            continue
        if item.shape is None or len(item.shape) > _N_MODULE_DIMENSIONS or item.dtype.kind != "u":
            raise FileFormatError(f"{layout.FRIB_PHYSICS}/{name} is {item.dtype} {item.shape}, not unsigned numbers")
        if item.nbytes > item.id.get_storage_size() and item.compression is None:
            raise FileFormatError(f"{layout.FRIB_PHYSICS}/{name} claims {item.nbytes} bytes that are not in the file")
        modules[name] = np.asarray(item[()])
    return modules
