"""Tracks of ions in the gas of a chamber: helices whose radius shrinks as the ion loses energy."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SPEED_OF_LIGHT: Final = 299.792458  # MeV/c per T m and charge
_ELECTRON_MASS_MEV: Final = 0.51099895
_BETHE_CONSTANT: Final = 0.307075  # MeV cm2 / mol
_MIN_ENERGY_MEV: Final = 0.02
_MAX_STEPS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Species:
    """A kind of ion."""

    name: str
    mass_mev: float
    charge: int


PROTON = Species("proton", 938.27209, 1)
DEUTERON = Species("deuteron", 1875.61294, 1)
SPECIES = {one.name: one for one in (PROTON, DEUTERON)}


@dataclass(frozen=True, slots=True)
class Gas:
    """The gas of a chamber; the default is deuterium at 300 Torr."""

    density_g_cm3: float = 6.6e-5
    z_over_a: float = 0.4964
    excitation_ev: float = 19.2
    pair_ev: float = 35.0  # W, energy for a pair of electron and ion
    fano: float = 0.2

    def energy_loss(self, species: Species, energy_mev: float) -> float:
        """Return the energy loss in MeV/mm, by Bethe's formula without corrections (PDG, "Passage of particles")."""
        gamma = 1 + energy_mev / species.mass_mev
        beta2 = 1 - 1 / gamma**2
        argument = 2 * _ELECTRON_MASS_MEV * beta2 * gamma**2 / (self.excitation_ev * 1e-6)
        logarithm = max(math.log(argument) - beta2, 0.5)  # the formula ends below some 10 keV
        stopping = _BETHE_CONSTANT * species.charge**2 * self.z_over_a / beta2 * logarithm
        return stopping * self.density_g_cm3 / 10


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of a track: its vertex and its ion.

    Parameters
    ----------
    vertex_mm
        x, y, z; z counts from the window to the pads.
    polar, azimuthal
        Direction at the vertex in radians; polar 0 is along z.
    """

    species: Species
    energy_mev: float
    vertex_mm: tuple[float, float, float]
    polar: float
    azimuthal: float

    @property
    def momentum(self) -> float:
        """Momentum, in MeV/c."""
        return math.sqrt(self.energy_mev * (self.energy_mev + 2 * self.species.mass_mev))

    @property
    def brho(self) -> float:
        """Magnetic rigidity in T m: p / (299.792458 Z)."""
        return self.momentum / (SPEED_OF_LIGHT * self.species.charge)


def follow(
    track: Track, gas: Gas, *, field_t: float, length_mm: float, radius_mm: float, step_mm: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Follow a track until it stops or leaves the chamber.

    Ions turn anticlockwise seen from +z. The radius of the helix is p sin(polar) / (299.792458 Z B).

    Returns
    -------
    The middle of each step, mm of shape (n, 3), and the energy lost in it, MeV of shape (n,).
    """
    species, energy, phi = track.species, track.energy_mev, track.azimuthal
    x, y, z = track.vertex_mm
    sine, cosine = math.sin(track.polar), math.cos(track.polar)
    points, losses = [], []
    for _ in range(_MAX_STEPS):
        if energy < _MIN_ENERGY_MEV:
            break
        loss = min(gas.energy_loss(species, energy) * step_mm, energy)
        momentum = math.sqrt(energy * (energy + 2 * species.mass_mev))
        turn = step_mm * SPEED_OF_LIGHT * species.charge * field_t / momentum / 1000
        middle_phi = phi + turn / 2
        dx, dy, dz = step_mm * sine * math.cos(middle_phi), step_mm * sine * math.sin(middle_phi), step_mm * cosine
        middle = (x + dx / 2, y + dy / 2, z + dz / 2)
        if math.hypot(middle[0], middle[1]) > radius_mm or not 0 <= middle[2] <= length_mm:
            break
        points.append(middle)
        losses.append(loss)
        x, y, z, phi, energy = x + dx, y + dy, z + dz, phi + turn, energy - loss
    return np.array(points).reshape(-1, 3), np.array(losses)
