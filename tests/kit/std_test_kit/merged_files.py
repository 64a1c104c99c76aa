"""Merged files as other programs write them, in all layouts."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

SILICON = ("si_upstream_front", "si_upstream_back", "si_downstream_front", "si_downstream_back")
_FRIB_STRUCT = {"977": (1,), "1903": (40, 8)}


def make_traces(event: int, n_traces: int) -> NDArray[np.int16]:
    """Return traces with rising pads, whose samples differ from event to event."""
    rng = np.random.default_rng([7, event])
    traces = np.empty((n_traces, 517), np.int16)
    rows = np.arange(n_traces)
    channels = np.array([c for c in range(68) if c not in {11, 22, 45, 56}])
    traces[:, 0], traces[:, 1], traces[:, 2] = rows // 1024, rows // 256 % 4, rows // 64 % 4
    traces[:, 3] = channels[rows % 64]
    traces[:, 4] = np.sort(rng.choice(10240, n_traces, replace=False))
    traces[:, 5:] = rng.integers(200, 4096, (n_traces, 512))
    return traces


def write_legacy(path: Path, n_events: int = 3) -> None:
    """Write a file in the layout before 1.0; event 1 has nothing of the other acquisition."""
    with h5py.File(path, "w") as file:
        file.create_group("meta")["meta"] = np.array([0, 1000, n_events - 1, 1000 + n_events - 1], "u8")
        for n in range(n_events):
            file[f"get/evt{n}_data"] = make_traces(n, 5 + n)
            file[f"get/evt{n}_header"] = np.array([100 + n, 1000 + n, 2000 + n], "f8")
            if n != 1:
                file[f"frib/evt/evt{n}_977"] = np.array([3], "u2")
                file[f"frib/evt/evt{n}_1903"] = np.full((40, 8), n, "u2")
                file[f"frib/evt/evt{n}_header"] = np.array([50 + n, 60 + n], "u4")
        file["frib/runinfo"] = np.array([1, 2, 3, 4], "u4")


def write_1_0(path: Path, n_events: int = 3, version: str = "libattpc_merger:1.0") -> None:
    """Write a file of layout 1.0 as the merger does; event 1 has nothing of the other acquisition."""
    with h5py.File(path, "w") as file:
        events = _events(file, version, n_events, last=n_events - 1)
        for n in range(n_events):
            group = events.create_group(f"event_{n}")
            _get_attributes(group.create_dataset("get_traces", data=make_traces(n, 5 + n)), n)
            if n != 1:
                _frib(group, n, "id")
        scalers = file.create_group("scalers")
        scalers.attrs.create("min_event", 0, dtype="u4")
        scalers.attrs.create("max_event", 0, dtype="u4")
        scalers.attrs["version"] = version


def write_harmonizer(path: Path, n_events: int = 3) -> None:
    """Write a file of the harmonizer: max_event is one more than the last event, and event 1 is missing."""
    with h5py.File(path, "w") as file:
        events = _events(file, "harmonizer:0.1.0", n_events, last=n_events)
        for n in range(n_events):
            if n == 1:
                continue
            group = events.create_group(f"event_{n}")
            group.attrs.create("orig_run", 17, dtype="i4")
            group.attrs.create("orig_event", 900 + n, dtype="u8")
            _get_attributes(group.create_dataset("get_traces", data=make_traces(n, 5 + n)), n)
            _frib(group, n, "event")


def write_2_0(path: Path, n_events: int = 3) -> None:
    """Write a file of layout 2.0; event 1 is one of the other acquisition alone."""
    with h5py.File(path, "w") as file:
        events = _events(file, "libattpc_merger:2.0", n_events, last=n_events - 1)
        for n in range(n_events):
            group = events.create_group(f"event_{n}")
            if n != 1:
                get = group.create_group("get")
                _get_attributes(get, n)
                get["pads"] = make_traces(n, 5 + n)
                for index, name in enumerate(SILICON):
                    get[name] = make_traces(100 * index + n, index)
            _frib(group, n, "id", modules=("977", "1903", "1904", "1905", "1906"))


WRITERS: dict[str, Callable[[Path], None]] = {
    "legacy": write_legacy,
    "1.0": write_1_0,
    "0.2.0": lambda path: write_1_0(path, version="libattpc_merger:0.2.0"),
    "2.0": write_2_0,
    "harmonizer": write_harmonizer,
    "synchronizer": lambda path: write_1_0(path, version="synchronizer:0.1.0"),
}


def _events(file: h5py.File, version: str, n_events: int, last: int) -> h5py.Group:
    events = file.create_group("events")
    numbers = {"min_event": 0, "max_event": last, "min_get_ts": 1000, "max_get_ts": 1000 + n_events - 1}
    for name, number in numbers.items():
        events.attrs.create(name, number, dtype="u8")
    for name in ("frib_run", "frib_start", "frib_stop", "frib_time"):
        events.attrs.create(name, 1, dtype="u4")
    events.attrs["version"] = version
    return events


def _get_attributes(item: h5py.HLObject, n: int) -> None:
    item.attrs.create("id", 100 + n, dtype="u4")
    item.attrs.create("timestamp", 1000 + n, dtype="u8")
    item.attrs.create("timestamp_other", 2000 + n, dtype="u8")


def _frib(group: h5py.Group, n: int, id_name: str, modules: tuple[str, ...] = ("977", "1903")) -> None:
    frib = group.create_group("frib_physics")
    frib.attrs.create(id_name, 50 + n, dtype="u4")
    frib.attrs.create("timestamp", 60 + n, dtype="u4")
    for name in modules:
        frib[name] = np.full(_FRIB_STRUCT.get(name, (40, 8)), n, "u2")
