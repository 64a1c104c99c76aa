"""Tables over energy as tables over wavelength. Geant4 is linear in energy: points are added until ours follows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.detector import PropertyTable
from std_daq.photons.importing.errors import DetectorImportError

HC = 1239.841984e-6
"""Wavelength in nm times energy in MeV."""

WAVELENGTHS = (50.0, 2000.0)
"""In nm; what lies outside was given in other units."""

ACCURACY = 1e-4
"""Relative to the value, or to a thousandth of the larger of its neighbours."""

_MAX_HALVINGS = 12
_NO_LENGTH = 1e12  # mm; what absorbs nothing
_SHORTEST = 1e-6  # mm

Floats = NDArray[np.float64]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Curve:
    """A function of the energy.

    Parameters
    ----------
    energies
        In MeV, rising; empty for a constant.
    function
        Takes energies within them and returns values.
    """

    energies: Floats
    function: Callable[[Floats], Floats]

    def __call__(self, energies: Floats) -> Floats:
        """Return values; outside the table those of its ends."""
        return self.function(energies)

    def map(self, change: Callable[[Floats], Floats]) -> "Curve":
        """Return the curve of changed values."""
        return Curve(self.energies, lambda energies: change(self.function(energies)))

    def with_(self, other: "Curve", combine: Callable[[Floats, Floats], Floats]) -> "Curve":
        """Return the curve of two curves' values together."""
        energies = np.unique(np.concatenate([self.energies, other.energies]))
        return Curve(energies, lambda at: combine(self.function(at), other.function(at)))

    def table(self) -> float | Json:
        """Return a table of the geometry file; a number where it is constant."""
        if len(self.energies) < 2:
            at = self.energies if len(self.energies) else np.array([HC / 400])
            return float(_rounded(self.function(at))[0])
        wavelengths, values = _follow(self)
        return _table(wavelengths, _rounded(values))

    def spectrum(self) -> Json:
        """Return a spectrum per nm: a value per energy, times E²."""
        wavelengths, values = _follow(self.map_with_energy(lambda energies, values: values * energies**2))
        return {"wavelength": wavelengths.tolist(), "value": (values / values.max()).tolist()}

    def map_with_energy(self, change: Callable[[Floats, Floats], Floats]) -> "Curve":
        """Return the curve of values that are changed depending on the energy."""
        return Curve(self.energies, lambda energies: change(energies, self.function(energies)))


def shares(curves: dict[str, Curve]) -> Json:
    """Return tables of shares that have one grid, so that nowhere between its points their sum exceeds 1."""
    varying = [one for one in curves.values() if isinstance(one.table(), dict)]
    if not varying:
        return {name: one.table() for name, one in curves.items()}
    wavelengths = np.unique(np.concatenate([_follow(one)[0] for one in varying]))
    values = {name: _rounded(one(HC / wavelengths)) for name, one in curves.items()}
    return {name: _table(wavelengths, one) for name, one in values.items()}


def constant(value: float) -> Curve:
    """Return a curve that has one value everywhere."""
    return Curve(np.empty(0), lambda energies: np.full(len(energies), value))


def curve(table: PropertyTable, thing: str) -> Curve:
    """Return a property as a curve.

    Raises
    ------
    DetectorImportError
        If its wavelengths are no light's, or it has more than two columns.
    """
    rows = table.rows
    if rows.shape[1] == 1 and len(rows) == 1:
        return constant(float(rows[0, 0]))
    if rows.shape[1] != 2:
        raise DetectorImportError(f"{rows.shape[1]} columns, not energy and value", file=thing)
    order = np.argsort(rows[:, 0], kind="stable")
    energies, values = rows[order, 0], rows[order, 1]
    if energies[0] <= 0:
        raise DetectorImportError("an energy of 0 or less", file=thing, value=float(energies[0]))
    longest, shortest = HC / energies[0], HC / energies[-1]
    if not (WAVELENGTHS[0] <= shortest and longest <= WAVELENGTHS[1]):
        raise DetectorImportError(
            f"wavelengths of {shortest:.4g} to {longest:.4g} nm, which are not from 50 to 2000",
            file=thing,
            remedy="give energies in MeV, or with their unit as in 2.5*eV",
        )
    energies, first = np.unique(energies, return_index=True)
    values = values[first]
    if len(energies) == 1:
        return constant(float(values[0]))
    return Curve(energies, lambda at: np.interp(at, energies, values))


def length(one: Curve) -> Curve:
    """Return a length that is positive and finite, as the geometry file wants it."""
    return one.map(lambda values: np.clip(values, _SHORTEST, _NO_LENGTH))


def remaining_length(total: Curve, parts: list[Curve]) -> float | Json | None:
    """Return the length that is left of a total after its parts: 1/L - sum of 1/L_i; None if nothing is."""
    rest = total.map(lambda values: 1 / np.maximum(values, _SHORTEST))
    rate = rest
    for part in parts:
        rate = rate.with_(part, lambda whole, one: whole - 1 / np.maximum(one, _SHORTEST))
    # Six digits in a file leave a remainder where there is none.
    rate = rate.with_(rest, lambda left, whole: np.where(left > 1e-5 * whole, left, 0))
    energies = rate.energies if len(rate.energies) else np.array([HC / 400])
    if not rate(energies).any():
        return None
    return rate.map(lambda rates: 1 / np.maximum(rates, 1 / _NO_LENGTH)).table()


def _table(wavelengths: Floats, values: Floats) -> float | Json:
    if (values == values[0]).all():
        return float(values[0])
    return {"wavelength": wavelengths.tolist(), "value": values.tolist()}


def _rounded(values: Floats) -> Floats:
    """Return values without the digits that arithmetic leaves, such as 0.19999999999999996."""
    return np.array([float(f"{value:.12g}") for value in values])


def _follow(one: Curve) -> tuple[Floats, Floats]:
    """Return wavelengths, rising, and values, so that lines between them follow a curve."""
    energies = one.energies[::-1]
    wavelengths = HC / energies
    values = one(energies)
    done_w, done_v = [wavelengths[:1]], [values[:1]]
    for low, high, v_low, v_high in zip(wavelengths, wavelengths[1:], values, values[1:], strict=False):
        inner_w, inner_v = _between(one, low, high, v_low, v_high)
        done_w.append(inner_w)
        done_v.append(inner_v)
    return np.concatenate(done_w), np.concatenate(done_v)


def _between(one: Curve, low: float, high: float, v_low: float, v_high: float) -> tuple[Floats, Floats]:
    """Return points after `low` up to `high`, as few halvings as are enough."""
    floor = 1e-3 * max(abs(v_low), abs(v_high))
    for halvings in range(_MAX_HALVINGS + 1):
        # A grid that is even in the logarithm is dense where a line over energy bends most over wavelength.
        wavelengths = np.geomspace(low, high, 2**halvings + 1)
        wavelengths[0], wavelengths[-1] = low, high
        values = one(HC / wavelengths)
        values[0], values[-1] = v_low, v_high
        probes = np.concatenate([wavelengths[:-1] * (1 - t) + wavelengths[1:] * t for t in (0.25, 0.5, 0.75)])
        expected = one(HC / probes)
        errors = np.abs(np.interp(probes, wavelengths, values) - expected)
        if (errors <= 0.9 * ACCURACY * np.maximum(np.abs(expected), floor)).all():
            break
    return wavelengths[1:], values[1:]
