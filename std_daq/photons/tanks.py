"""Water tanks with light sensors, as geometry documents: for demonstrations, benchmarks and tests.

::

    document = small_tank()          # 168 sensors: balls of glass with an opaque photocathode inside
    document = pmt_tank()            # 168 PMTs: bulb, film, mirror
    Path("tank.json").write_text(json.dumps(document))
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.pmts import bulb_pmt, pmt_surfaces

_Table = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Tank:
    """A cylinder of water with balls as light sensors on its wall and on both ends; lengths in mm.

    Parameters
    ----------
    radius, height
        Of the water.
    columns, rows
        Sensors on the wall: around and up; every second row is turned by half a step.
    side, pitch, reach
        Sensors on an end: a square grid of ``side`` times ``side``, of which those within ``reach`` of the axis exist.
    inset
        From the wall to the middle of a sensor.
    ball
        Radius of a sensor.
    """

    radius: float
    height: float
    columns: int
    rows: int
    side: int
    pitch: float
    reach: float
    inset: float
    ball: float

    def places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return positions and directions of the sensors: rows of the wall from below, upper end, lower end."""
        row, column = np.divmod(np.arange(self.rows * self.columns), self.columns)
        azimuth = 2 * np.pi * (column + (row % 2) / 2) / self.columns
        outwards = np.column_stack([np.cos(azimuth), np.sin(azimuth), np.zeros(len(azimuth))])
        wall = (self.radius - self.inset) * outwards
        wall[:, 2] = (row + 0.5) / self.rows * self.height - self.height / 2
        steps = (np.arange(self.side) - (self.side - 1) / 2) * self.pitch
        x, y = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
        is_there = np.hypot(x, y) <= self.reach
        flat = np.column_stack([x, y, np.full(len(x), self.height / 2 - self.inset)])[is_there]
        inwards = np.tile([0.0, 0.0, -1.0], (len(flat), 1))
        positions = np.concatenate([wall, flat, flat * [1, 1, -1]])
        return positions, np.concatenate([-outwards, inwards, -inwards])


SMALL = Tank(2000, 4000, columns=16, rows=6, side=6, pitch=450, reach=np.inf, inset=150, ball=101)
"""168 sensors of 8 inches."""

LARGE = Tank(16_900, 36_200, columns=150, rows=51, side=48, pitch=684, reach=16_100, inset=280, ball=254)
"""11,146 sensors of 20 inches, about as Super-Kamiokande's inner detector."""

PMTS = replace(SMALL, inset=200)
"""As small, but the sensors stand further within, since a PMT reaches behind its widest circle."""

GLASS_MM = 3.0


def small_tank() -> dict[str, Any]:
    """Return the geometry of a tank with 168 sensors."""
    return tank_document(SMALL)


def large_tank() -> dict[str, Any]:
    """Return the geometry of a tank with 11,146 sensors."""
    return tank_document(LARGE)


def pmt_tank() -> dict[str, Any]:
    """Return the geometry of a tank with 168 PMTs: bulbs of glass with a film as photocathode, and a mirror behind."""
    document = tank_document(PMTS)
    document["parts"] = {"sensor": bulb_pmt()}
    document["surfaces"] |= pmt_surfaces()
    return document


def tank_document(tank: Tank) -> dict[str, Any]:
    """Return the geometry of a tank: water, black walls, and sensors of glass with a photocathode inside."""
    positions, directions = tank.places()
    ball = {"shape": "sphere", "outer": "water", "inner": "glass", "radius": tank.ball}
    cathode = {"shape": "sphere", "outer": "glass", "inner": "vacuum", "radius": tank.ball - GLASS_MM}
    wall = {"shape": "cylinder", "radius": tank.radius, "height": tank.height, "inner": "water", "outer": "vacuum"}
    return {
        "format": "std-sim-geometry",
        "version": 1,
        "materials": {"water": water(), "glass": glass(), "vacuum": {}},
        "surfaces": {"photocathode": photocathode(), "black sheet": black_sheet()},
        "solids": [{**wall, "surface": "black sheet"}],
        "parts": {"sensor": [ball, {**cathode, "surface": "photocathode"}]},
        "arrays": [
            {
                "part": "sensor",
                "positions": positions.tolist(),
                "directions": directions.tolist(),
                "first_channel": 0,
            }
        ],
    }


def water() -> dict[str, Any]:
    """Return pure water: index after Quan and Fry (1995), lengths of a water Cherenkov detector."""
    wavelength = [300, 350, 400, 450, 500, 550, 600, 650, 700]
    index = [1.36016, 1.34983, 1.34375, 1.33978, 1.33697, 1.33486, 1.33319, 1.33184, 1.33070]
    absorption = [330e3, 460e3, 300e3, 107e3, 34e3, 12e3, 3.1e3, 2.1e3, 1.1e3]
    scattering = [26e3, 57e3, 110e3, 193e3, 316e3, 490e3, 720e3, 1030e3, 1430e3]
    return {
        "refractive_index": _table(wavelength, index),
        "absorption_length": _table(wavelength, absorption),
        "scattering_length": _table(wavelength, scattering),
    }


def glass() -> dict[str, Any]:
    """Return borosilicate glass."""
    return {
        "refractive_index": _table([350, 600], [1.50, 1.47]),
        "absorption_length": _table([300, 330, 500], [0.1, 1000, 2000]),
    }


def photocathode() -> dict[str, Any]:
    """Return a bialkali photocathode that detects some of the light and absorbs the rest."""
    wavelength = [280, 300, 330, 370, 400, 420, 440, 470, 500, 530, 560, 600, 650, 700]
    efficiency = [0.05, 0.18, 0.25, 0.27, 0.26, 0.25, 0.235, 0.205, 0.17, 0.10, 0.06, 0.025, 0.005, 0]
    return {
        "detect": _table(wavelength, efficiency),
        "absorb": _table(wavelength, [round(1 - share, 6) for share in efficiency]),
    }


def black_sheet() -> dict[str, Any]:
    """Return the black plastic that lines a tank."""
    return {"absorb": 0.95, "reflect_diffuse": 0.04, "reflect_specular": 0.01}


def _table(wavelength: Sequence[float], value: Sequence[float]) -> _Table:
    return {"wavelength": list(wavelength), "value": list(value)}
