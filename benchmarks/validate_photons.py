"""The engine against known answers, 10^6 photons a case: writes the table and the figure of the page on physics.

Usage: python benchmarks/validate_photons.py docs/explanations [photons a case]
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.detector import PhotonDetector
from std_daq.photons.flags import Flag
from std_daq.photons.pmts import bulb_pmt, pmt_surfaces
from std_daq.photons.sources import beam, isotropic

LIGHT_SPEED = 299.792458
UP = (0.0, 0.0, 1.0)
FILM = {"model": "thin_film", "eta": 2.7, "k": 1.5, "thickness_nm": 20}
SPECTRUM = {"wavelength": [400, 450, 470, 500], "value": [0, 2, 1, 0]}

Case = tuple[str, float, float, float]
"""What, expected, found, standard error."""


def detector(solid: dict[str, Any], **keys: Any) -> PhotonDetector:
    materials = {"vacuum": {}, **keys.pop("materials", {})}
    solid = {"inner": "vacuum", "outer": "vacuum", **solid}
    return PhotonDetector.of(
        {"format": "std-sim-geometry", "version": 1, "materials": materials, "solids": [solid], **keys}
    )


def share(name: str, expected: float, ended: NDArray[np.void], flag: Flag) -> Case:
    n = len(ended)
    found = np.count_nonzero(ended["flags"] & np.uint32(flag)) / n
    return name, expected, found, math.sqrt(expected * (1 - expected) / n)


def mean(name: str, expected: float, values: NDArray[np.floating]) -> Case:
    values = values.astype(np.float64)
    return name, expected, float(values.mean()), float(values.std()) / math.sqrt(len(values))


def at(degrees: float, which: str) -> dict[str, Any]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return {"direction": (s, 0, c), "position": (-s, 0, -c), "polarisation": (0, 1, 0) if which == "s" else (c, 0, -s)}


def cases(n: int) -> Iterator[Case]:
    slab = {"shape": "box", "size": [1000, 1000, 100], "inner": "m", "surface": "black"}
    made = detector(slab, materials={"m": {"absorption_length": 50}}, surfaces={"black": {"absorb": 1}})
    ended = made.propagate(beam(n, wavelength=420, direction=UP, position=(0, 0, -50 + 1e-3)))
    yield share("slab of two absorption lengths lets through", math.exp(-2), ended, Flag.SURFACE_ABSORB)

    plane = {"shape": "rectangle", "size": [100, 100], "outer": "glass"}
    made = detector(plane, materials={"glass": {"refractive_index": 1.5}})
    for degrees, s, p in ((30, 0.057796, 0.025249), (60, 0.176571, 0.001802), (80, 0.538595, 0.236814)):
        for which, expected in (("s", s), ("p", p)):
            ended = made.propagate(beam(n, wavelength=420, **at(degrees, which)))
            yield share(f"border 1 to 1.5, {degrees}°, {which}, reflects", expected, ended, Flag.REFLECT_SPECULAR)

    ball = {"shape": "sphere", "radius": 1e6, "inner": "m"}
    made = detector(ball, materials={"m": {"scattering_length": 1}}, physics={"max_steps": 1})
    begun = beam(n, wavelength=420, direction=(1, 0, 0), polarisation=(0, 1, 0))
    scattered = made.propagate(begun)["dy"].astype(np.float64)
    yield mean("Rayleigh, mean of c² about the polarisation", 1 / 5, scattered**2)
    yield mean("Rayleigh, mean of c⁴ about the polarisation", 3 / 35, scattered**4)
    unpolarised = made.propagate(beam(n, wavelength=420, direction=(1, 0, 0)))["dx"].astype(np.float64)
    yield mean("Rayleigh, mean of c² about the beam", 2 / 5, unpolarised**2)
    yield mean("Rayleigh, mean of c⁴ about the beam", 9 / 35, unpolarised**4)

    eye = {"eye": {"detect": 1}}
    disc = {"shape": "disc", "radius": 100, "position": [0, 0, 150], "surface": "eye"}
    ended = detector(disc, surfaces=eye).propagate(isotropic(n, wavelength=420))
    yield share("disc sees its solid angle", (1 - 150 / math.hypot(150, 100)) / 2, ended, Flag.SURFACE_DETECT)
    sphere = {"shape": "sphere", "radius": 100, "position": [0, 0, 150], "surface": "eye"}
    ended = detector(sphere, surfaces=eye).propagate(isotropic(n, wavelength=420))
    yield share("ball sees its solid angle", (1 - math.sqrt(1 - (100 / 150) ** 2)) / 2, ended, Flag.SURFACE_DETECT)

    white = {"absorb": 0.05, "detect": 0.15, "reflect_diffuse": 0.8}
    room = {"shape": "sphere", "radius": 500, "surface": "white"}
    ended = detector(room, surfaces={"white": white}).propagate(isotropic(n, wavelength=420))
    yield share("white ball detects", 0.75, ended, Flag.SURFACE_DETECT)
    yield mean("white ball, mean time in ns", (500 + 4 * 4 * 500 / 3) / LIGHT_SPEED, ended["time"])

    paint = {"shape": "disc", "radius": 100, "surface": "paint"}
    made = detector(paint, surfaces={"paint": {"reflect_diffuse": 1}}, physics={"max_steps": 1})
    reflected = made.propagate(beam(n, wavelength=420, direction=UP, position=(0, 0, -1)))["dz"].astype(np.float64)
    yield mean("Lambert, mean cosine", 2 / 3, -reflected)
    yield mean("Lambert, mean of c²", 1 / 2, reflected**2)

    component = {"absorption_length": 1, "probability": 0.6, "spectrum": SPECTRUM, "decay_times": [[2, 3], [20, 1]]}
    material = {"absorption_length": 2, "reemission": [{**component, "rise_time": 0.5}]}
    ended = detector(ball, materials={"m": material}, physics={"max_steps": 1}).propagate(
        beam(n, wavelength=380, direction=UP)
    )
    yield share("re-emission of two thirds with 0.6", 0.4, ended, Flag.BULK_REEMIT)
    emitted = ended[(ended["flags"] & np.uint32(Flag.BULK_REEMIT)) != 0]
    area = np.array([50.0, 30, 15]) / 95
    yield mean("re-emission, mean wavelength in nm", float(area @ [425, 460, 485]), emitted["wavelength"])
    delay = emitted["time"].astype(np.float64) - emitted["z"] / LIGHT_SPEED
    yield mean("re-emission, mean delay in ns", 0.75 * 2 + 0.25 * 20 + 0.5, delay)

    coated = {"shape": "rectangle", "size": [100, 100], "inner": "glass", "surface": "film"}
    made = detector(coated, materials={"glass": {"refractive_index": 1.49}}, surfaces={"film": FILM})
    for degrees, s, p in (
        (20, (0.189223, 0.223074), (0.159554, 0.275028)),
        (42, (0.216471, 0.026626), (0.328364, 0.272204)),
    ):
        for which, (r, t) in (("s", s), ("p", p)):
            ended = made.propagate(beam(n, wavelength=420, **at(degrees, which)))
            yield share(f"film, {degrees}°, {which}, reflects", r, ended, Flag.REFLECT_SPECULAR)
            yield share(f"film, {degrees}°, {which}, lets through", t, ended, Flag.SURFACE_TRANSMIT)

    document = {
        "format": "std-sim-geometry",
        "version": 1,
        "materials": {"water": {"refractive_index": 1.34}, "glass": {"refractive_index": 1.49}, "vacuum": {}},
        "surfaces": pmt_surfaces() | {"mirror": {"absorb": 1}},
        "solids": [],
        "parts": {"pmt": bulb_pmt()},
        "arrays": [{"part": "pmt", "positions": [[0, 0, 0]]}],
    }
    ended = PhotonDetector.of(document).propagate(
        beam(n, wavelength=420, direction=(0, 0, -1), position=(1, 2, 100), polarisation=(1, 0, 0))
    )
    # The glass reflects 0.002809 of what comes from outside. Within, it gives back as much of the 0.188559 of the film.
    yield share(
        "PMT, straight on, detects", 0.25 * (1 - 0.002809) / (1 - 0.002809 * 0.188559), ended, Flag.SURFACE_DETECT
    )


def table(found: list[Case]) -> str:
    lines = ["| case | expected | found | standard errors apart |", "|---|---|---|---|"]
    lines += [f"| {name} | {e:.6f} | {f:.6f} | {(f - e) / error:+.1f} |" for name, e, f, error in found]
    return "\n".join(lines)


def figure(found: list[Case]) -> str:
    """Return a picture of how many standard errors each case is apart, as SVG."""
    row, left, unit = 18, 330, 40
    height, middle = row * len(found) + 40, left + 4 * unit
    size = f'width="{left + 8 * unit + 20}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for k in range(-4, 5):
        x = middle + k * unit
        colour = "#888" if k == 0 else "#ddd"
        parts.append(f'<line x1="{x}" y1="10" x2="{x}" y2="{height - 28}" stroke="{colour}"/>')
        parts.append(f'<text x="{x}" y="{height - 12}" text-anchor="middle">{k}</text>')
    for i, (name, expected, value, error) in enumerate(found):
        y = 20 + i * row
        x = middle + unit * (value - expected) / error
        parts.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{name}</text>')
        parts.append(f'<line x1="{x - unit:.1f}" y1="{y}" x2="{x + unit:.1f}" y2="{y}" stroke="#1f77b4"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="#1f77b4"/>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    folder, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    found = list(cases(n))
    (folder / "photon-validation.svg").write_text(figure(found))
    page = folder / "photon-physics.md"
    before, _, _ = page.read_text().partition("## Known answers")
    page.write_text(
        f"{before.rstrip()}\n\n## Known answers\n\n"
        f"`python benchmarks/validate_photons.py docs/explanations` writes this part, with {n:,} photons a case.\n"
        "The bars of the figure are one standard error long to each side.\n\n"
        f"![How far each case is from what is expected](photon-validation.svg)\n\n{table(found)}\n"
    )
    print(table(found))


if __name__ == "__main__":
    main()
