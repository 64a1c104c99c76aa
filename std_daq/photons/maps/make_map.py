"""make_map: simulates what a map still lacks, and writes it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ArgumentError, SimulationError
from std_daq.photons.maps.light import Block, blocks_of
from std_daq.photons.maps.map_file import MapFile, Row
from std_daq.photons.maps.map_lock import map_lock
from std_daq.photons.maps.plan import MapPlan
from std_daq.photons.maps.simulation import Simulate
from std_daq.photons.progress import progress_of


@dataclass(frozen=True, slots=True)
class Made:
    """What was done.

    Parameters
    ----------
    n_simulated
        Voxels that were simulated.
    n_there
        Voxels that had enough photons before.
    """

    n_simulated: int
    n_there: int


def make_map(path: Path, plan: MapPlan, *, n_photons: int, simulate: Simulate, is_shown: bool = False) -> Made:
    """Simulate all voxels that have fewer photons than asked for.

    Parameters
    ----------
    path
        The file; one that is there goes on.
    plan
        What the map is of.
    n_photons
        Of each voxel.
    simulate
        Who simulates.
    is_shown
        Whether there is a progress bar.

    Raises
    ------
    ConfigError
        The file has been made with other options.
    ArgumentError
        The file has more photons than asked for.
    ResourceError
        Another process writes the file.
    SimulationError
        A voxel cannot be simulated.
    """
    with map_lock(path), MapFile.open(path, plan.options, plan.grid, plan.channels) as file:
        there = file.n_photons.copy()
        if (most := int(there.max(initial=0))) > n_photons:
            raise ArgumentError(
                "--photons", f"the map has {most} a voxel already", value=n_photons, remedy="give as many, or more"
            )
        lacking = np.flatnonzero(there < n_photons).tolist()
        blocks = (block for voxel in lacking for block in blocks_of(voxel, int(there[voxel]), n_photons))
        voxels = _Voxels(file, len(plan.channels.types), n_photons)
        with progress_of(len(lacking), is_shown=is_shown) as advance:
            for block, hits in simulate(blocks):
                if voxels.add(block, hits):
                    advance()
        file.store()
        return Made(len(lacking), len(there) - len(lacking))


@dataclass(slots=True)
class _Voxels:
    """Voxels of which some blocks have come; blocks are added up in their order, which sums of floats depend on."""

    file: MapFile
    n_channels: int
    n_photons: int
    rows: dict[int, Row] = field(default_factory=dict)
    early: dict[int, dict[int, tuple[Block, NDArray[np.void]]]] = field(default_factory=dict)

    def add(self, block: Block, hits: NDArray[np.void]) -> bool:
        """Take the hits of a block, and return whether the voxel is complete with them."""
        if len(hits) and int(hits["channel"].max()) >= self.n_channels:
            raise SimulationError(
                f"a hit has channel {hits['channel'].max()}, and the geometry {self.n_channels} channels: "
                "the workers have another geometry"
            )
        early = self.early.setdefault(block.voxel, {})
        early[block.number] = block, hits
        row = self.rows.get(block.voxel)
        if row is None:
            row = self.file.row(block.voxel)
            # Part of a block is simulated again, with all before it.
            row = self.rows[block.voxel] = row if row.is_of_whole_blocks else Row.empty(self.n_channels)
        while (following := early.pop(row.n_blocks, None)) is not None:
            row.add(following[0].n_photons, following[1])
        if row.n_photons < self.n_photons:
            return False
        del self.rows[block.voxel], self.early[block.voxel]
        self.file.put(block.voxel, row)
        return True
