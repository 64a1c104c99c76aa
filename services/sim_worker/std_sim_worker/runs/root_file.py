"""Writes the hits of a run as ROOT trees, as the client's file mode reads them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import awkward
import numpy as np
import uproot
from numpy.typing import NDArray

from std_daq.photons.backend import Channels

ENDING = ".charon.ntuple.root"
_EVENTS_AT_ONCE = 500
# Name in the tree: field of `HIT`.
_COLUMNS = {
    "channel_id": "channel",
    "time": "time",
    "wavelength": "wavelength",
    "u": "dx",
    "v": "dy",
    "w": "dz",
    "pol_x": "polx",
    "pol_y": "poly",
    "pol_z": "polz",
    "flag": "flags",
}
_WHOLE = {"channel_id", "flag"}


def write_root(path: Path, channels: Channels, rows: Iterable[tuple[int, NDArray[np.void]]]) -> None:
    """Write a file; one row for each event, in the order in which they are given."""
    with uproot.recreate(path) as file:
        detinfo = {f"pmt_{axis}": np.float32 for axis in "xyz"} | {"pmt_type": np.int32}
        file.mktree("detinfo", detinfo)
        columns = {f"pmt_{axis}": np.ascontiguousarray(channels.positions[:, i]) for i, axis in enumerate("xyz")}
        file["detinfo"].extend(columns | {"pmt_type": channels.types})
        branches: dict[str, Any] = {"event_id": np.uint32}
        branches |= {name: f"var * {'uint32' if name in _WHOLE else 'float32'}" for name in _COLUMNS}
        tree = file.mktree("output", branches)
        for batch in _batches(rows):
            tree.extend(_columns(batch))


def _columns(batch: list[tuple[int, NDArray[np.void]]]) -> dict[str, Any]:
    counts = [len(hits) for _, hits in batch]
    flat = np.concatenate([hits for _, hits in batch])
    columns: dict[str, Any] = {"event_id": np.array([event_id for event_id, _ in batch], np.uint32)}
    for name, field in _COLUMNS.items():
        columns[name] = awkward.unflatten(np.ascontiguousarray(flat[field]), counts)
    return columns


def _batches(rows: Iterable[tuple[int, NDArray[np.void]]]) -> Iterable[list[tuple[int, NDArray[np.void]]]]:
    batch: list[tuple[int, NDArray[np.void]]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _EVENTS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
