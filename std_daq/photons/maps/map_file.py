"""MapFile: the file of a map while it is written.

The file is whole whenever the process dies. HDF5's mode for one writer and many readers (SWMR) writes nothing that
refers to something not yet written. The number of photons of a voxel is written behind its counts, and is 0 while they
change.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import h5py
import numpy as np
from numpy.typing import NDArray

from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.folders.new_file import NewFile
from std_daq.photons.backend import Channels
from std_daq.photons.maps import map_format
from std_daq.photons.maps.light import BLOCK_PHOTONS
from std_daq.photons.maps.map_format import MapOptions
from std_daq.photons.maps.voxel_grid import VoxelGrid
from std_daq.recording.superblock import N_BYTES, Superblock

_STORE_S = 1.0


@dataclass(slots=True)
class Row:
    """What a voxel's photons have come to.

    Parameters
    ----------
    n_photons
        Their number.
    counts
        Hits of each channel.
    time_sum, time_square_sum
        Of the times of these hits, in ns and ns².
    """

    n_photons: int
    counts: NDArray[np.uint32]
    time_sum: NDArray[np.float64]
    time_square_sum: NDArray[np.float64]

    @classmethod
    def empty(cls, n_channels: int) -> Self:
        """Return the row of a voxel without photons."""
        return cls(0, np.zeros(n_channels, np.uint32), np.zeros(n_channels), np.zeros(n_channels))

    @property
    def is_of_whole_blocks(self) -> bool:
        """Whether further blocks can be added."""
        return self.n_photons % BLOCK_PHOTONS == 0

    @property
    def n_blocks(self) -> int:
        """Number of whole blocks, which is the number of the block to add next."""
        return self.n_photons // BLOCK_PHOTONS

    def add(self, n_photons: int, hits: NDArray[np.void]) -> None:
        """Add a block of photons, of which some were hits."""
        channels, times, n = hits["channel"].astype(np.int64), hits["time"].astype(np.float64), len(self.counts)
        self.n_photons += n_photons
        self.counts += np.bincount(channels, minlength=n).astype(np.uint32)
        self.time_sum += np.bincount(channels, times, minlength=n)
        self.time_square_sum += np.bincount(channels, times**2, minlength=n)


@dataclass(slots=True)
class MapFile:
    """A map that is being written.

    Parameters
    ----------
    n_photons
        Photons of each voxel that are in the file.
    """

    n_photons: NDArray[np.uint64]
    _file: h5py.File
    _waiting: dict[int, Row] = field(default_factory=dict)
    _stored_s: float = field(default_factory=time.monotonic)

    @classmethod
    @contextmanager
    def open(cls, path: Path, options: MapOptions, grid: VoxelGrid, channels: Channels) -> Iterator[Self]:
        """Open a map, or make it; the caller holds its lock.

        Raises
        ------
        ConfigError
            The file has been made with other options.
        FileFormatError
            The file is no map, or damaged.
        """
        if not path.exists():
            _create(path, options, grid, channels)
        _check(path, options)
        with h5py.File(path, "r+", libver=map_format.LIBRARY_VERSION, locking=False) as file:
            file.swmr_mode = True
            yield cls(file[map_format.N_PHOTONS][:], file)

    def row(self, voxel: int) -> Row:
        """Return what is there of a voxel; counts without a number of photons were never completed."""
        if not self.n_photons[voxel]:
            return Row.empty(self._file[map_format.COUNTS].shape[1])
        names = (map_format.COUNTS, map_format.TIME_SUM, map_format.TIME_SQUARE_SUM)
        return Row(int(self.n_photons[voxel]), *(self._file[name][voxel] for name in names))

    def put(self, voxel: int, row: Row) -> None:
        """Take the row of a voxel; it is in the file within about a second."""
        self._waiting[voxel] = row
        if time.monotonic() - self._stored_s >= _STORE_S:
            self.store()

    def store(self) -> None:
        """Write all rows that wait."""
        if changing := [voxel for voxel in self._waiting if self.n_photons[voxel]]:
            self._write_n_photons(dict.fromkeys(changing, 0))
        for voxel, row in self._waiting.items():
            self._file[map_format.COUNTS][voxel] = row.counts
            self._file[map_format.TIME_SUM][voxel] = row.time_sum
            self._file[map_format.TIME_SQUARE_SUM][voxel] = row.time_square_sum
        self._file.flush()
        self._write_n_photons({voxel: row.n_photons for voxel, row in self._waiting.items()})
        self._waiting.clear()
        self._stored_s = time.monotonic()

    def _write_n_photons(self, numbers: dict[int, int]) -> None:
        for voxel, number in numbers.items():
            self.n_photons[voxel] = number
            self._file[map_format.N_PHOTONS][voxel] = number
        self._file.flush()


def _create(path: Path, options: MapOptions, grid: VoxelGrid, channels: Channels) -> None:
    with NewFile(path) as new:
        with h5py.File(new.opened, "w", libver=map_format.LIBRARY_VERSION, locking=False) as file:
            map_format.write_structure(file, grid, channels)
            options.store(file)
        new.replace()


def _check(path: Path, options: MapOptions) -> None:
    """Check what a file is, and remove the mark that a dead writer left; a file that does not fit stays as it was."""
    with path.open("r+b", buffering=0) as raw:
        try:
            superblock = Superblock.parse(raw.read(N_BYTES))
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from None
        if superblock.is_open:
            _write_superblock(raw.fileno(), superblock.closed(os.fstat(raw.fileno()).st_size))
        try:
            with h5py.File(path, "r", locking=False) as file:
                map_format.check_format(file, path)
                options.check(file, path)
        except BaseException as error:
            if superblock.is_open:
                _write_superblock(raw.fileno(), superblock)
            if isinstance(error, HDF5_ERRORS):
                raise FileFormatError(f"{path}: the map cannot be read: {error}") from error
            raise


def _write_superblock(fd: int, superblock: Superblock) -> None:
    os.pwrite(fd, superblock.to_bytes(), 0)
    os.fsync(fd)
