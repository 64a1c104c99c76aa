"""A photomultiplier of 8 inches as a part of a geometry: a bulb of glass, a film as photocathode, a mirror behind.

::

    document["parts"]["sensor"] = bulb_pmt()
    document["surfaces"] |= pmt_surfaces()
"""

from typing import Any

import numpy as np

GLASS_MM = 3.0
BACK_MM = 170.0
"""How far it reaches behind its widest circle, where its origin is."""
N_ARC = 24
N_SEGMENTS = 64
_NECK = 42.0
_RADIUS = 101.0
_TOP = 76.0
_Profile = list[list[float]]


def bulb_pmt(*, segments: int = N_SEGMENTS) -> list[dict[str, Any]]:
    """Return the boundaries of a PMT that looks to +z, in water, with the surfaces of `pmt_surfaces`.

    The photocathode covers the inner side of the glass in front of the widest circle, the mirror the rest.

    Parameters
    ----------
    segments
        Facets around the axis.
    """
    outside, inside = _profile(0.0), _profile(GLASS_MM)
    widest = next(i for i, (_, z) in enumerate(inside) if z == 0)
    revolved = {"shape": "revolved", "segments": segments}
    inner = {**revolved, "outer": "glass", "inner": "vacuum"}
    return [
        {**revolved, "outer": "water", "inner": "glass", "profile": outside},
        {**inner, "surface": "photocathode", "profile": inside[widest:]},
        {**inner, "surface": "mirror", "profile": inside[: widest + 1]},
    ]


def pmt_surfaces() -> dict[str, Any]:
    """Return photocathode and mirror.

    The film is of a bialkali cathode (Motta and Schönert 2005), which lets through and reflects what it does not
    absorb. Its efficiency is that of data sheets for tubes of 8 to 10 inches.
    """
    wavelength = [380, 400, 420, 440, 470, 500, 530, 560, 600, 650]
    eta = [1.92, 2.24, 2.53, 2.70, 3.00, 3.00, 3.26, 3.12, 3.00, 2.95]
    k = [1.69, 1.70, 1.59, 1.50, 1.34, 1.06, 0.86, 0.53, 0.40, 0.34]
    of_efficiency = [280, 300, 330, 370, 400, 420, 440, 470, 500, 530, 560, 600, 650, 700]
    efficiency = [0.05, 0.18, 0.25, 0.27, 0.26, 0.25, 0.235, 0.205, 0.17, 0.10, 0.06, 0.025, 0.005, 0]
    return {
        "photocathode": {
            "model": "thin_film",
            "eta": {"wavelength": wavelength, "value": eta},
            "k": {"wavelength": wavelength, "value": k},
            "thickness_nm": 23,
            "efficiency": {"wavelength": of_efficiency, "value": efficiency},
        },
        "mirror": {"reflect_specular": 0.9, "absorb": 0.1},
    }


def _profile(inset: float) -> _Profile:
    """Return the bulb from the back to the top, ``inset`` within the glass."""
    r, neck, back = _RADIUS - inset, _NECK - inset, BACK_MM - inset
    angles = np.linspace(0, np.pi / 2, N_ARC + 1)[1:-1]
    arc = np.column_stack([r * np.cos(angles), (_TOP - inset) * np.sin(angles)])
    behind = [[0.0, -back], [neck, -back], [neck, -90.0], [62.0 - inset, -70.0], [r, 0.0]]
    return [*behind, *arc.tolist(), [0.0, _TOP - inset]]
