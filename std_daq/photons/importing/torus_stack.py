"""RAT's torusstack: a stack of torus segments, as the bulbs of PMTs are drawn."""

import math

from std_daq.photons.importing.solids import Arc, Turned


def torus_stack(name: str, edges: list[tuple[float, float]], origins: list[float]) -> Turned:
    """Return a solid whose outline goes through edges, by arcs about origins; flat discs close it.

    Parameters
    ----------
    edges
        (z, rho), z rising.
    origins
        z of each arc's centre; where it lies from the axis follows.
    """
    outline: list[tuple[float, float] | Arc] = []
    for (z1, r1), (z2, r2), zo in zip(edges, edges[1:], origins, strict=False):
        if r1 == r2:
            outline += [(r1, z1), (r2, z2)]
            continue
        rho = ((z2 - z1) * (z2 + z1 - 2 * zo) / (r2 - r1) + r1 + r2) / 2
        radius = math.hypot(z1 - zo, r1 - rho)
        begin, end = math.atan2(z1 - zo, r1 - rho), math.atan2(z2 - zo, r2 - rho)
        if r1 < rho and r2 < rho:  # the side that faces the axis: angles about half a turn
            begin, end = begin % (2 * math.pi), end % (2 * math.pi)
        outline += [(r1, z1), Arc((rho, zo), radius, begin, end), (r2, z2)]
    bottom, top = edges[0], edges[-1]
    return Turned(name, ((*outline, (0.0, top[0]), (0.0, bottom[0])),))
