"""VoxelLight: the photons that each voxel sends out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ArgumentError
from std_daq.photons.geometry.file import GeometryFile
from std_daq.photons.geometry.optics_sections import Component
from std_daq.photons.maps.voxel_grid import VoxelGrid
from std_daq.photons.sources import isotropic

BLOCK_PHOTONS = 10_000
"""Photons of one job: few enough for any worker, and for the last of them not to be waited for."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some photons of a voxel, which are one job.

    Parameters
    ----------
    voxel
        Number of the voxel.
    number
        Number of the block among those of the voxel.
    n_photons
        `BLOCK_PHOTONS`, or fewer for the last block.
    """

    voxel: int
    number: int
    n_photons: int


def blocks_of(voxel: int, n_there: int, n_photons: int) -> Iterator[Block]:
    """Return the blocks that a voxel with ``n_there`` photons still needs.

    A last block that was no whole one is simulated again from its start, with all blocks before it: then the counts of
    a voxel do not depend on how often somebody asked for more photons.
    """
    first = n_there // BLOCK_PHOTONS if n_there % BLOCK_PHOTONS == 0 else 0
    for number in range(first, -(-n_photons // BLOCK_PHOTONS)):
        yield Block(voxel, number, min(BLOCK_PHOTONS, n_photons - number * BLOCK_PHOTONS))


@dataclass(frozen=True, slots=True)
class VoxelLight:
    """Isotropic, unpolarised light that starts evenly within a voxel, at 0 ns.

    Parameters
    ----------
    grid
        The voxels.
    seed
        Together with the numbers of voxel and block, it selects the photons.
    wavelength
        In nm; or wavelengths and the share of light up to each, shape (n, 2).
    """

    grid: VoxelGrid
    seed: int
    wavelength: float | NDArray[np.float64]

    def photons(self, block: Block) -> NDArray[np.void]:
        """Return the photons of a block: a function of seed, voxel and block."""
        source = [self.seed, block.voxel, block.number]
        photons = isotropic(block.n_photons, wavelength=0.0, seed=[*source, 0])
        generator = np.random.default_rng([*source, 1])
        low, high = self.grid.box_of(block.voxel)
        starts = low + (high - low) * generator.random((block.n_photons, 3))
        for i, axis in enumerate("xyz"):
            photons[axis] = starts[:, i]
        photons["wavelength"] = self._wavelengths(block.n_photons, generator)
        return photons

    def _wavelengths(self, n: int, generator: np.random.Generator) -> float | NDArray[np.float64]:
        if isinstance(self.wavelength, float):
            return self.wavelength
        points, shares = self.wavelength.T
        wavelengths: NDArray[np.float64] = np.interp(generator.random(n), shares, points)
        return wavelengths


def spectrum_of(geometry: GeometryFile, name: str) -> NDArray[np.float64]:
    """Return the spectrum that a material emits: wavelengths in nm, and the share of light up to each, shape (n, 2).

    Parameters
    ----------
    name
        MATERIAL, or MATERIAL.N for its component N where it has several.

    Raises
    ------
    ArgumentError
        There is no such material, or it does not say one spectrum.
    """
    emitting = {
        key: component.spectrum
        for material, section in geometry.materials.items()
        for key, component in _named(material, section.reemission)
    }
    if name not in emitting:
        remedy = f"one of: {', '.join(emitting)}" if emitting else "give --wavelength instead: no material emits light"
        raise ArgumentError("--spectrum", "the geometry has no such spectrum", value=name, remedy=remedy)
    return emitting[name].cumulative()


def _named(material: str, components: list[Component]) -> Iterator[tuple[str, Component]]:
    for number, component in enumerate(components):
        yield material if len(components) == 1 else f"{material}.{number}", component
