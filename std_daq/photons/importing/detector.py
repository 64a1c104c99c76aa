"""A detector as a tree of volumes, whatever file described it: solids, materials, placements and optical surfaces."""

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.solids import VolumeSolid

_POINTER = re.compile(r"0x[0-9a-f]+$")

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def without_pointer(name: str) -> str:
    """Return a name as the user gave it: Geant4's writer adds an address in memory to each."""
    return _POINTER.sub("", name)


@dataclass(frozen=True, slots=True)
class Transform:
    """Where something stands: ``rotation @ point + position``.

    Parameters
    ----------
    rotation
        Shape (3, 3); turns directions of the placed thing into those of its surroundings.
    position
        Shape (3,), in mm.
    """

    rotation: Matrix
    position: Vector

    def apply(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points, shape (n, 3), in the coordinates of the surroundings."""
        moved: NDArray[np.float64] = points @ self.rotation.T + self.position
        return moved

    def after(self, inner: "Transform") -> "Transform":
        """Return the transform that first does `inner`, then this one."""
        return Transform(self.rotation @ inner.rotation, self.rotation @ inner.position + self.position)

    def inverse(self) -> "Transform":
        """Return the transform that leads back."""
        return Transform(self.rotation.T, -self.rotation.T @ self.position)


IDENTITY = Transform(np.eye(3), np.zeros(3))


@dataclass(frozen=True, slots=True)
class PropertyTable:
    """A property as its file gives it: rows of numbers, in MeV, mm and ns.

    Parameters
    ----------
    rows
        Shape (n, columns). Two columns: energy and value, but for the few tables that have no energy. One: constants.
    """

    rows: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """A medium with its optical properties, by Geant4's names."""

    name: str
    properties: dict[str, PropertyTable]

    @property
    def is_opaque(self) -> bool:
        """Whether light cannot enter: a medium without an index of refraction."""
        return "RINDEX" not in self.properties


@dataclass(frozen=True, slots=True)
class DichroicTable:
    """Transmission of a dichroic filter, in percent.

    Parameters
    ----------
    wavelengths
        In nm.
    angles
        In degrees from the normal.
    transmission
        Shape (wavelengths, angles).
    """

    wavelengths: NDArray[np.float64]
    angles: NDArray[np.float64]
    transmission: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class OpticalSurface:
    """A surface in Geant4's words: model, finish and type as names, and its properties."""

    name: str
    model: str
    finish: str
    type: str
    value: float
    properties: dict[str, PropertyTable]
    dichroic: DichroicTable | None = None


@dataclass(slots=True, eq=False)
class PlacedVolume:
    """A volume that stands in another one."""

    name: str
    volume: "Volume"
    transform: Transform
    copy_number: int = 0


@dataclass(slots=True, eq=False)
class Volume:
    """A solid of a material, with what stands in it.

    Two volumes are the same only if they are one object: names need not be unique.
    """

    name: str
    solid: VolumeSolid
    material: Medium
    placements: list[PlacedVolume] = field(default_factory=list)
    is_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Border:
    """A surface on the way from one placement to another; None stands for each mother of the other placement."""

    before: PlacedVolume | None
    behind: PlacedVolume | None
    surface: OpticalSurface


@dataclass(slots=True)
class VolumeTree:
    """A whole detector.

    Attributes
    ----------
    world
        The outermost volume.
    skins
        The surface of a volume, by the volume.
    borders
        In the order of the file.
    """

    world: Volume
    skins: dict[Volume, OpticalSurface] = field(default_factory=dict)
    borders: list[Border] = field(default_factory=list)
