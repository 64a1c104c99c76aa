"""Names in a file of a map, and what tells one map from another."""

from dataclasses import dataclass, fields
from typing import Any

import h5py
import numpy as np

from std_daq.errors import ConfigError, FileFormatError
from std_daq.photons.backend import Channels
from std_daq.photons.maps.voxel_grid import VoxelGrid

FORMAT = "std-sim-map"
VERSION = 1
LIBRARY_VERSION = ("v110", "v110")

COUNTS = "counts"
TIME_SUM = "time_sum"
TIME_SQUARE_SUM = "time_square_sum"
N_PHOTONS = "n_photons"
EDGES = ("x_edges", "y_edges", "z_edges")
POSITIONS = "channel_positions"
TYPES = "channel_types"


@dataclass(frozen=True, slots=True)
class MapOptions:
    """What the counts of a map depend on, besides the number of photons.

    Parameters
    ----------
    geometry_hash
        Hash of the compiled detector.
    region
        Lower x, y, z, upper x, y, z, in mm.
    voxel_mm
        Length of the sides of a voxel.
    light
        As ``400 nm`` or ``spectrum of SCINTILLATOR``.
    seed
        Of the photons.
    worker_seed
        Of their random numbers on the way.
    block_photons
        Photons of a job.
    """

    geometry_hash: str
    region: tuple[float, ...]
    voxel_mm: float
    light: str
    seed: int
    worker_seed: int
    block_photons: int

    def store(self, file: h5py.File) -> None:
        """Write the attributes of a file."""
        # Of fixed length: a text of variable length cannot be read while the file is written.
        file.attrs["format"], file.attrs["version"] = np.bytes_(FORMAT), VERSION
        for name, value in self._items():
            file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value

    def check(self, file: h5py.File, where: object) -> None:
        """Raise ConfigError if a file has been made with other options; it says with which."""
        differing = [
            f"{name} is {_shown(file.attrs.get(name))} there and {_shown(value)} here"
            for name, value in self._items()
            if not np.array_equal(_plain(file.attrs.get(name)), _plain(value))
        ]
        if differing:
            raise ConfigError(
                f"the map was made with other options: {'; '.join(differing)}",
                file=str(where),
                remedy="give the same options to go on with it, or another --output",
            )

    def _items(self) -> list[tuple[str, Any]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


def check_format(file: h5py.File, where: object) -> None:
    """Raise FileFormatError if a file is no map."""
    if _plain(file.attrs.get("format")) != FORMAT:
        raise FileFormatError(f"{where}: an HDF5 file, but no map of std-sim")
    if file.attrs.get("version") != VERSION:
        raise FileFormatError(f"{where}: a map of version {file.attrs.get('version')}, and this is {VERSION}")


def write_structure(file: h5py.File, grid: VoxelGrid, channels: Channels) -> None:
    """Make the datasets of a map without photons."""
    for name, edges in zip(EDGES, grid.edges, strict=True):
        file[name] = edges
    file[POSITIONS], file[TYPES] = channels.positions, channels.types
    file[N_PHOTONS] = np.zeros(grid.n_voxels, np.uint64)
    shape = (grid.n_voxels, len(channels.types))
    for name, kind in ((COUNTS, np.uint32), (TIME_SUM, np.float64), (TIME_SQUARE_SUM, np.float64)):
        file.create_dataset(name, shape, kind, chunks=(1, shape[1]), shuffle=True, compression="gzip")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, np.ndarray | tuple):
        return " ".join(f"{one:g}" for one in value)
    plain = _plain(value)
    return f"'{plain}'" if isinstance(plain, str) else f"{plain}"
