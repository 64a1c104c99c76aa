"""Round solids that fill each other, and whose facets do not: they are turned against each other about their axis."""

import math

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.detector import Transform
from std_daq.photons.importing.facets import FLATNESS
from std_daq.photons.importing.solids import TURN, Turned

_ALIGNED = 1e-6  # of a facet


def facets_differ(first: Turned, at: Transform, second: Turned, second_at: Transform, segments: int) -> bool:
    """Tell whether two solids have a round surface in common, and different facets there."""
    relative = at.inverse().after(second_at)
    along = relative.rotation[2, 2]
    if abs(along) < 1 - FLATNESS**2 or np.hypot(*relative.position[:2]) > FLATNESS:
        return False  # not the same axis
    turned = math.atan2(relative.rotation[1, 0], relative.rotation[0, 0]) / (TURN / segments)
    if abs(turned - round(turned)) < _ALIGNED:
        return False
    shift, sign = relative.position[2], math.copysign(1, along)
    edges = _round_edges(first.profiles(segments))
    others = _round_edges([np.column_stack([one[:, 0], sign * one[:, 1] + shift]) for one in second.profiles(segments)])
    return any(_overlap(edge, other) for edge in edges for other in others)


def _round_edges(profiles: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return the edges that make something round: neither on the axis nor across it."""
    edges = [np.stack([one, np.roll(one, -1, axis=0)], axis=1) for one in profiles]
    return [edge for edge in np.concatenate(edges) if abs(edge[0, 1] - edge[1, 1]) > FLATNESS and edge[:, 0].max() > 0]


def _overlap(edge: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two edges lie on one line, and cover a common range of z."""
    low, high = max(edge[:, 1].min(), other[:, 1].min()), min(edge[:, 1].max(), other[:, 1].max())
    if high - low <= FLATNESS:
        return False
    radii = [np.interp([low, high], *(one[np.argsort(one[:, 1])].T[::-1])) for one in (edge, other)]
    return bool(np.abs(radii[0] - radii[1]).max() < FLATNESS)
