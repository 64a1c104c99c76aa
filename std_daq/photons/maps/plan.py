"""MapPlan: what a map is of: detector, voxels and light."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ArgumentError, ConfigError
from std_daq.photons.backend import Channels
from std_daq.photons.geometry.load import read_geometry
from std_daq.photons.geometry.scene import channels_of, compile_scene, content_hash
from std_daq.photons.geometry.trees import MARGIN
from std_daq.photons.maps.light import BLOCK_PHOTONS, VoxelLight, spectrum_of
from std_daq.photons.maps.map_format import MapOptions
from std_daq.photons.maps.voxel_grid import VoxelGrid
from std_daq.photons.protocol import MAX_EVENT_ID


@dataclass(frozen=True, slots=True)
class MapPlan:
    """What a map is of.

    Parameters
    ----------
    options
        What tells it from other maps.
    grid
        Its voxels.
    channels
        Its light sensors.
    light
        The photons that voxels send out.
    """

    options: MapOptions
    grid: VoxelGrid
    channels: Channels
    light: VoxelLight


def plan_map(
    geometry: Path,
    *,
    voxel_mm: float,
    region: Sequence[float] | None = None,
    light: float | str = 400.0,
    seed: int = 0,
    worker_seed: int = 0,
) -> MapPlan:
    """Plan a map of a detector.

    Parameters
    ----------
    geometry
        The geometry file.
    voxel_mm
        Length of the sides of a voxel.
    region
        Lower x, y, z, upper x, y, z, in mm; None: the box around the detector.
    light
        Wavelength in nm, or the name of a spectrum, as of `spectrum_of`.
    seed, worker_seed
        Select the photons, and what happens to them.

    Raises
    ------
    ArgumentError
        Region, voxels or spectrum are wrong.
    ConfigError
        The geometry is wrong, or has no channels.
    """
    document = read_geometry(geometry)
    scene, channels = compile_scene(document, geometry.parent), channels_of(document)
    if not len(channels.types):
        raise ConfigError("the detector has no channels", file=geometry, remedy="a map is of channels; give some")
    wavelength = spectrum_of(document, light) if isinstance(light, str) else light
    box = _region(scene.bounds, region)
    grid = _grid(box, voxel_mm)
    digest = hashlib.sha256(f"{content_hash(scene)} {document.physics.max_steps}".encode())
    digest.update(channels.positions.tobytes() + channels.types.tobytes())
    name = f"spectrum of {light}" if isinstance(light, str) else f"{light:g} nm"
    options = MapOptions(digest.hexdigest(), box, voxel_mm, name, seed, worker_seed, BLOCK_PHOTONS)
    return MapPlan(options, grid, channels, VoxelLight(grid, seed, wavelength))


def _region(bounds: NDArray[np.float64], region: Sequence[float] | None) -> tuple[float, ...]:
    """Return the region; without one, the box around the detector, which trees make a little larger than it is."""
    if region is None:
        margin = MARGIN / (1 + MARGIN) * float(np.abs(bounds).max())
        return tuple(round(float(one), 6) for one in bounds + np.repeat([margin, -margin], 3))
    shown = " ".join(f"{one:g}" for one in region)
    if not all(map(math.isfinite, region)):
        raise ArgumentError("--region", "a corner is no place", value=shown, remedy="give six numbers in mm")
    if any(low >= high for low, high in zip(region[:3], region[3:], strict=True)):
        raise ArgumentError(
            "--region", "the upper corner is not above the lower one", value=shown, remedy="give X0 Y0 Z0 X1 Y1 Z1"
        )
    lowest, highest = bounds.reshape(2, 3)
    if any(np.less(region[3:], lowest)) or any(np.greater(region[:3], highest)):
        corners = " ".join(f"{one:g}" for one in bounds.ravel())
        raise ArgumentError("--region", "no part of the detector is in it", value=shown, remedy=f"it is in {corners}")
    return tuple(map(float, region))


def _grid(box: Sequence[float], voxel_mm: float) -> VoxelGrid:
    sides = [high - low for low, high in zip(box[:3], box[3:], strict=True)]
    n_voxels = math.prod(side / voxel_mm + 1 for side in sides)
    if n_voxels > MAX_EVENT_ID:
        raise ArgumentError(
            "--voxel-mm", f"that would be {n_voxels:.2g} voxels, more than a map may have", value=f"{voxel_mm:g}",
            remedy="give larger voxels, or a smaller --region",
        )  # fmt: skip
    return VoxelGrid.over(box, voxel_mm)
