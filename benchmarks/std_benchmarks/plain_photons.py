"""A photon loop in plain numpy, for tanks of balls: the reference for correctness and for speed.

It shares nothing with the engine but the geometry document. All photons take a step together; each is tried against
every ball. What the engine computes by cosines it computes by angles, and its random numbers are numpy's own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIGHT_SPEED = 299.792458
FLAGS = {
    "NO_HIT": 1,
    "BULK_ABSORB": 2,
    "SURFACE_DETECT": 4,
    "SURFACE_ABSORB": 8,
    "RAYLEIGH_SCATTER": 16,
    "REFLECT_DIFFUSE": 32,
    "REFLECT_SPECULAR": 64,
}
_TERMINAL = 1 | 2 | 4 | 8
_CHUNK = 2000  # photons that are tried against all balls at once

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(slots=True)
class Light:
    """Photons under way: places, directions, polarisations, shape (n, 3); the rest shape (n,)."""

    place: Floats
    d: Floats
    e: Floats
    wavelength: Floats
    time: Floats
    flags: Ints
    channel: Ints

    @property
    def is_alive(self) -> NDArray[np.bool_]:
        """Whether each photon flies on."""
        is_alive: NDArray[np.bool_] = (self.flags & _TERMINAL) == 0
        return is_alive


class PlainTank:
    """A tank of the module `std_daq.photons.tanks`: one cylinder, and balls that hold a ball each."""

    def __init__(self, document: dict[str, Any], seed: int = 0) -> None:
        wall, (glass, cathode) = document["solids"][0], document["parts"]["sensor"]
        positions = np.array(document["arrays"][0]["positions"], float)
        self._materials = document["materials"]
        self._surfaces = document["surfaces"]
        self._centres = np.concatenate([positions, positions])
        self._radii = np.repeat([glass["radius"], cathode["radius"]], len(positions)).astype(float)
        self._n = len(positions)
        self._wall = (float(wall["radius"]), wall["height"] / 2)
        self._solids = [glass, cathode, wall]
        self._rng = np.random.default_rng(seed)

    def run(self, photons: NDArray[np.void], max_steps: int = 1000) -> Light:
        """Return the photons as they ended."""
        place, d, e = (np.column_stack([photons[p + a] for a in "xyz"]).astype(float) for p in ("", "d", "pol"))
        wavelength, time = (photons[name].astype(float) for name in ("wavelength", "time"))
        n = len(photons)
        light = Light(place, d, e, wavelength, time, photons["flags"].astype(np.int64), np.full(n, -1))
        on = np.full(n, -1)
        for _ in range(max_steps):
            alive = np.flatnonzero(light.is_alive)
            if not len(alive):
                break
            for chunk in np.array_split(alive, -(-len(alive) // _CHUNK)):
                self._step(light, chunk, on)
        return light

    def _step(self, light: Light, rows: Ints, on: Ints) -> None:
        way, met, normal = self._next(light.place[rows], light.d[rows], on[rows])
        is_left = ~np.isfinite(way)
        light.flags[rows[is_left]] |= FLAGS["NO_HIT"]
        rows, way, met, normal = rows[~is_left], way[~is_left], met[~is_left], normal[~is_left]
        kind = np.where(met < self._n, 0, np.where(met < 2 * self._n, 1, 2))
        comes_from_outside = np.sum(light.d[rows] * normal, axis=1) < 0
        w = light.wavelength[rows]
        absorption, scattering, slowness = (
            self._of_side(name, kind, comes_from_outside, w) for name in ("absorb", "scatter", "slowness")
        )
        with np.errstate(divide="ignore"):
            to_absorption = self._rng.exponential(size=len(rows)) / absorption
            to_scattering = self._rng.exponential(size=len(rows)) / scattering
        free = np.minimum(to_absorption, to_scattering)
        happens = free < way
        light.time[rows] += np.minimum(free, way) * slowness
        light.place[rows] += np.minimum(free, way)[:, None] * light.d[rows]
        on[rows] = np.where(happens, -1, met)
        light.flags[rows[happens & (to_absorption <= to_scattering)]] |= FLAGS["BULK_ABSORB"]
        self._scatter(light, rows[happens & (to_scattering < to_absorption)])
        there = np.flatnonzero(~happens)
        self._surface(light, rows[there], kind[there], met[there], normal[there], comes_from_outside[there])

    def _next(self, place: Floats, d: Floats, on: Ints) -> tuple[Floats, Ints, Floats]:
        """Return the way to the nearest boundary, which it is, and its normal there."""
        to_centre = self._centres[None] - place[:, None]
        along = np.einsum("pbi,pi->pb", to_centre, d)
        square = self._radii**2 - (np.einsum("pbi,pbi->pb", to_centre, to_centre) - along**2)
        half = np.sqrt(np.maximum(square, 0))
        ways = np.where(along - half > 1e-5, along - half, along + half)
        ways[(square <= 0) | (ways <= 1e-5)] = np.inf
        stands_on = np.flatnonzero((on >= 0) & (on < 2 * self._n))
        chord = 2 * along[stands_on, on[stands_on]]
        ways[stands_on, on[stands_on]] = np.where(chord > 1e-5, chord, np.inf)
        radius, top = self._wall
        with np.errstate(divide="ignore", invalid="ignore"):
            across = d[:, 0] ** 2 + d[:, 1] ** 2
            middle = -(place[:, 0] * d[:, 0] + place[:, 1] * d[:, 1]) / across
            miss = place[:, 0] + middle * d[:, 0], place[:, 1] + middle * d[:, 1]
            to_side = middle + np.sqrt((radius**2 - miss[0] ** 2 - miss[1] ** 2) / across)
            to_end = (np.sign(d[:, 2]) * top - place[:, 2]) / d[:, 2]
        to_side, to_end = np.nan_to_num(to_side, nan=np.inf), np.nan_to_num(to_end, nan=np.inf)
        ways = np.column_stack([ways, np.minimum(to_side, to_end)])
        met = np.argmin(ways, axis=1)
        way = ways[np.arange(len(met)), met]
        at = place + np.where(np.isfinite(way), way, 0)[:, None] * d
        ball = np.minimum(met, 2 * self._n - 1)
        normal = (at - self._centres[ball]) / self._radii[ball][:, None]
        outwards = np.column_stack([at[:, 0] / radius, at[:, 1] / radius, np.zeros(len(at))])
        ends = np.column_stack([np.zeros((len(at), 2)), np.sign(d[:, 2])])
        is_wall = (met == 2 * self._n)[:, None]
        return way, met, np.where(is_wall, np.where((to_end < to_side)[:, None], ends, outwards), normal)

    def _of_side(self, what: str, kind: Ints, is_outside: NDArray[np.bool_], w: Floats) -> Floats:
        """Return a property of the material from which photons come to boundaries."""
        values = np.empty(len(kind))
        for number, solid in enumerate(self._solids):
            for outside, side in ((True, "outer"), (False, "inner")):
                chosen = (kind == number) & (is_outside == outside)
                values[chosen] = self._property(what, self._materials[solid[side]], w[chosen])
        return values

    def _property(self, what: str, material: dict[str, Any], w: Floats) -> Floats:
        if what in {"absorb", "scatter"}:
            given = material.get("absorption_length" if what == "absorb" else "scattering_length")
            return np.zeros(len(w)) if given is None else 1 / _interpolated(given, w)
        index = material.get("refractive_index", 1.0)
        if what == "index":
            return _interpolated(index, w)
        if not isinstance(index, dict):
            return np.full(len(w), index / LIGHT_SPEED)
        x, y = np.array(index["wavelength"], float), np.array(index["value"], float)
        slope = np.empty(len(x))
        slope[1:-1] = (y[2:] - y[:-2]) / (x[2:] - x[:-2])
        slope[0], slope[-1] = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
        group: Floats = np.interp(w, x, y - x * slope)
        return group / LIGHT_SPEED

    def _scatter(self, light: Light, rows: Ints) -> None:
        light.flags[rows] |= FLAGS["RAYLEIGH_SCATTER"]
        e = light.e[rows]
        cosine = np.empty(len(rows))
        wanted = np.arange(len(rows))
        while len(wanted):  # by rejection; the engine inverts the distribution
            cosine[wanted] = self._rng.uniform(-1, 1, len(wanted))
            wanted = wanted[self._rng.uniform(size=len(wanted)) > 1 - cosine[wanted] ** 2]
        d = self._around(e, cosine)
        light.d[rows] = d
        light.e[rows] = _unit(e - np.sum(e * d, axis=1, keepdims=True) * d)

    def _around(self, axis: Floats, cosine: Floats) -> Floats:
        """Return directions at an angle to axes, by a vector that is random across each."""
        across = _unit(np.cross(axis, self._rng.normal(size=axis.shape)))
        return _unit(cosine[:, None] * axis + np.sqrt(1 - cosine**2)[:, None] * across)

    def _surface(
        self, light: Light, rows: Ints, kind: Ints, met: Ints, normal: Floats, is_outside: NDArray[np.bool_]
    ) -> None:
        shares = np.zeros((4, len(rows)))
        for number, solid in enumerate(self._solids):
            surface = self._surfaces.get(solid.get("surface"), {})
            of_kind = kind == number
            for i, name in enumerate(("absorb", "detect", "reflect_diffuse", "reflect_specular")):
                shares[i, of_kind] = _interpolated(surface.get(name, 0.0), light.wavelength[rows[of_kind]])
        limits = np.cumsum(shares, axis=0)
        choice = np.sum(self._rng.uniform(size=len(rows)) >= limits, axis=0)
        towards = np.where(is_outside[:, None], normal, -normal)
        for i, flag in enumerate(("SURFACE_ABSORB", "SURFACE_DETECT", "REFLECT_DIFFUSE", "REFLECT_SPECULAR")):
            light.flags[rows[choice == i]] |= FLAGS[flag]
        detected = choice == 1
        light.channel[rows[detected]] = met[detected] % self._n
        diffuse = choice == 2
        d = self._around(towards[diffuse], np.sqrt(self._rng.uniform(size=int(diffuse.sum()))))
        light.d[rows[diffuse]] = d
        light.e[rows[diffuse]] = _unit(np.cross(d, self._rng.normal(size=d.shape)))
        mirror = choice == 3
        for vectors in (light.d, light.e):
            old = vectors[rows[mirror]]
            vectors[rows[mirror]] = old - 2 * np.sum(old * towards[mirror], axis=1, keepdims=True) * towards[mirror]
        passes = choice == 4
        self._border(light, rows[passes], kind[passes], towards[passes], is_outside[passes])

    def _border(self, light: Light, rows: Ints, kind: Ints, n: Floats, is_outside: NDArray[np.bool_]) -> None:
        """Reflect or refract, by Fresnel's formulas in sines and tangents of angles."""
        w = light.wavelength[rows]
        n1, n2 = self._of_side("index", kind, is_outside, w), self._of_side("index", kind, ~is_outside, w)
        d, e = light.d[rows], light.e[rows]
        angle = np.arccos(np.clip(-np.sum(d * n, axis=1), 0, 1))
        sine = n1 / n2 * np.sin(angle)
        is_total = sine >= 1
        behind = np.arcsin(np.clip(sine, 0, 1))
        s = _unit(np.cross(d, n))
        is_s = self._rng.uniform(size=len(rows)) < np.sum(e * s, axis=1) ** 2
        reflected_s = (np.sin(angle - behind) / np.sin(angle + behind)) ** 2
        reflected_p = (np.tan(angle - behind) / np.tan(angle + behind)) ** 2
        share = np.where(is_total, 1, np.where(is_s, reflected_s, reflected_p))
        is_reflected = (self._rng.uniform(size=len(rows)) < share) & (n1 != n2)
        light.flags[rows[is_reflected]] |= FLAGS["REFLECT_SPECULAR"]
        in_plane = _unit(d + np.cos(angle)[:, None] * n)
        refracted = np.sin(behind)[:, None] * in_plane - np.cos(behind)[:, None] * n
        out = np.where(is_reflected[:, None], d + 2 * np.cos(angle)[:, None] * n, refracted)
        polarisation = np.where(is_s[:, None], s, np.cross(s, out))
        changes = n1 != n2
        light.d[rows[changes]] = _unit(out[changes])
        light.e[rows[changes]] = polarisation[changes]


def _interpolated(table: Any, w: Floats) -> Floats:
    if not isinstance(table, dict):
        return np.full(len(w), float(table))
    return np.interp(w, table["wavelength"], table["value"])


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
