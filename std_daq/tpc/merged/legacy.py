"""LegacyEvents: the events of a merged file in the layout before version 1.0, with a group ``/meta``.

``/get/evt<n>_data`` has the traces, ``/get/evt<n>_header`` id and times as float64; below ``/frib/evt`` is what the
other acquisition recorded of the same event.
"""

import re
from typing import Any, Self

import h5py
import numpy as np

from std_daq.errors import FileFormatError
from std_daq.tpc.merged import layout
from std_daq.tpc.merged.event import FribPhysics, MergedEvent
from std_daq.tpc.merged.traces import read_modules, read_traces

_DATA_NAME = re.compile(r"evt([0-9]{1,12})_(?:data|header)")
_FRIB_NAME = re.compile(r"evt([0-9]{1,12})_([0-9a-z]+)")


class LegacyEvents:
    """The events of a file in the legacy layout.

    Parameters
    ----------
    file
        The open file.

    Attributes
    ----------
    numbers
        Numbers of the events that are there, ascending.
    """

    def __init__(self, file: h5py.File) -> None:
        self._get = file.get(layout.GET) or {}
        self._frib = file.get("frib/evt") or {}
        self._frib_names: dict[int, list[str]] = {}
        for name in self._frib:
            match = _FRIB_NAME.fullmatch(name)
            if match is not None:
                self._frib_names.setdefault(int(match[1]), []).append(match[2])
        of_get = {int(match[1]) for name in self._get if (match := _DATA_NAME.fullmatch(name))}
        self.numbers = sorted(of_get | self._frib_names.keys())

    @classmethod
    def of(cls, file: h5py.File) -> Self | None:
        """Return the events of a file; None if it has another layout."""
        is_legacy = isinstance(file.get("meta"), h5py.Group) and layout.EVENTS not in file
        return cls(file) if is_legacy else None

    def read(self, n: int) -> MergedEvent:
        """Return one of the events; raises FileFormatError if it is damaged."""
        data, header = f"evt{n}_data", f"evt{n}_header"
        if data not in self._get:
            return MergedEvent(
                n=n,
                traces=np.zeros((0, layout.N_COLUMNS), np.int16),
                frib=self._read_frib(n) if n in self._frib_names else None,
            )
        event_id, timestamp, timestamp_other = _numbers(self._get.get(header), 3, header)
        return MergedEvent(
            n=n,
            traces=read_traces(self._get[data], data),
            id=event_id,
            timestamp=timestamp,
            timestamp_other=timestamp_other,
            frib=self._read_frib(n) if n in self._frib_names else None,
        )

    def _read_frib(self, n: int) -> FribPhysics:
        names = self._frib_names[n]
        number, timestamp = None, None
        if "header" in names:
            name = f"evt{n}_header"
            number, timestamp = _numbers(self._frib[name], 2, name)
        modules = {name: self._frib[f"evt{n}_{name}"] for name in names if name != "header"}
        return FribPhysics(id=number, timestamp=timestamp, modules=read_modules(modules))


def _numbers(item: Any, n: int, name: str) -> list[int]:
    if not isinstance(item, h5py.Dataset) or item.shape != (n,) or item.dtype.kind not in "uif":
        raise FileFormatError(f"{name} is missing, or does not have {n} numbers")
    values = item[()]
    if not np.isfinite(values).all():
        raise FileFormatError(f"{name} has values that are no numbers")
    return [int(value) for value in values]
