"""Physical observables of clusters: magnetic rigidity, angles, vertex, and energy loss.

A charged particle in a magnetic field along z goes along a helix that tightens while it slows down. Its first turn,
from the vertex on, gives the radius and so the rigidity, and the slope of its distance from the vertex over z gives the
polar angle. Sources of the formulas: docs/explanations/chamber-physics.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from std_daq.tpc.reconstruction.circle import Circle, fit_circle
from std_daq.tpc.reconstruction.cluster import Cluster
from std_daq.tpc.reconstruction.parameters import DetectorParameters, EstimateParameters
from std_daq.tpc.reconstruction.results import BACKWARD, ESTIMATE, FORWARD
from std_daq.tpc.reconstruction.splines import smoothing_spline

# The vertex is one of so many points of the circle, both ends of a turn among them.
_N_CIRCLE_POINTS = 100_000
_MIN_LINE_POINTS = 10
# Pads are small within this distance from the axis, and all of one size: there charges can be compared.
_SMALL_PADS_RADIUS_MM = 152.0
_N_LENGTH_STEPS = 1000
_MIN_LOSS_POINTS = 2
_NOT_MEASURED = -1


@dataclass(frozen=True, slots=True)
class _Track:
    """A smoothed cluster in the order of the particle's way.

    Attributes
    ----------
    places, charges
        float64 (n, 3), in mm; and the charge of each.
    curve
        x and y over z.
    """

    places: NDArray[np.float64]
    charges: NDArray[np.float64]
    curve: BSpline

    @property
    def direction(self) -> int:
        """The way that begins nearer to the axis: along z or against it."""
        first, last = self.places[0], self.places[-1]
        return FORWARD if math.hypot(first[0], first[1]) < math.hypot(last[0], last[1]) else BACKWARD

    def towards(self, direction: int) -> "_Track":
        """Return the track with its points in the order of a direction; this one ascends in z."""
        if direction == FORWARD:
            return self
        return _Track(self.places[::-1], self.charges[::-1], self.curve)


def make_estimates(
    cloud: NDArray[np.float64],
    clusters: Sequence[Cluster],
    event_id: int,
    detector: DetectorParameters,
    parameters: EstimateParameters,
) -> NDArray[Any]:
    """Return a record of `ESTIMATE` for each cluster that has one."""
    rows = []
    for index, cluster in enumerate(clusters):
        if len(cluster) < parameters.min_total_trajectory_points:
            continue
        values = estimate_track(cloud[cluster.points], detector, parameters.smoothing_factor)
        if values is not None:
            rows.append({"cluster_index": index, "cluster_label": cluster.label, **values})
    estimates = np.zeros(len(rows), ESTIMATE)
    for name in ("orig_run", "orig_event", "ic_amplitude", "ic_centroid", "ic_integral", "ic_multiplicity"):
        estimates[name] = _NOT_MEASURED
    estimates["event"] = event_id
    for estimate, row in zip(estimates, rows, strict=True):
        for name, value in row.items():
            estimate[name] = value
    return estimates


def estimate_track(
    points: NDArray[np.float64], detector: DetectorParameters, smoothing_factor: float
) -> dict[str, float] | None:
    """Return the observables of the points of a cluster, rows of a cloud in ascending z; None: they have none."""
    track = _smoothed(points, smoothing_factor)
    if track is None:
        return None
    direction = track.direction
    for chosen in (direction, 1 - direction):
        found, is_direction_right = _observables(track.towards(chosen), chosen, detector)
        if is_direction_right:
            return found
    return None


def _smoothed(points: NDArray[np.float64], smoothing_factor: float) -> _Track | None:
    z = points[:, 2]
    spline = smoothing_spline(z, points[:, (0, 1, 4)], smoothing_factor)
    if spline is None:
        return None
    values = spline(z)
    if not np.isfinite(values).all():
        return None
    curve = BSpline.construct_fast(spline.t, np.ascontiguousarray(spline.c[:, :2]), spline.k)
    return _Track(np.column_stack([values[:, :2], z]), values[:, 2], curve)


def _observables(track: _Track, direction: int, detector: DetectorParameters) -> tuple[dict[str, float] | None, bool]:
    """Return what a track gives, and whether it goes in the given direction: otherwise the other one may give more."""
    x, y, z = track.places.T
    far = int(np.argmax(np.hypot(x[1:] - x[0], y[1:] - y[0])))
    circle = fit_circle(x[: far + 1], y[: far + 1])
    if not circle.is_known:
        return None, True
    vertex_x, vertex_y = nearest_to_axis(circle)
    from_vertex = np.hypot(x - vertex_x, y - vertex_y)
    far = int(np.argmax(from_vertex))
    n_line = max(_MIN_LINE_POINTS, int(far / 2))
    line = _line(z[: far + 1][:n_line], from_vertex[: far + 1][:n_line])
    if line is None or math.hypot(vertex_x, vertex_y) > detector.beam_region_radius:
        return None, True
    slope, intercept = line
    if (slope > 0) != (direction == FORWARD):
        return None, False
    vertex_z = -intercept / slope
    polar = math.atan(slope)
    brho = detector.magnetic_field * circle.radius * 0.001 / abs(math.sin(polar))
    loss = _energy_loss(track, far)
    if loss is None:
        return None, True
    charge, length = loss
    with np.errstate(divide="ignore", invalid="ignore"):
        charge_per_mm = float(np.float64(charge) / length)
    return {
        "vertex_x": vertex_x,
        "vertex_y": vertex_y,
        "vertex_z": vertex_z,
        "center_x": circle.x,
        "center_y": circle.y,
        "center_z": vertex_z,
        "polar": polar if direction == FORWARD else polar + math.pi,
        "azimuthal": _azimuth(circle, vertex_x, vertex_y),
        "brho": 0.0 if math.isnan(brho) else brho,
        "dEdx": charge_per_mm,
        "sqrt_dEdx": math.sqrt(abs(charge_per_mm)),
        "dE": charge,
        "arclength": length,
        "direction": direction,
    }, True


def nearest_to_axis(circle: Circle) -> tuple[float, float]:
    """Return the point of a circle that is nearest to the axis, of 100,000 points from 0 to 2 pi, ends included."""
    step = 2 * math.pi / (_N_CIRCLE_POINTS - 1)
    angle = math.atan2(-circle.y, -circle.x) % (2 * math.pi)
    nearest = round(angle / step)
    indices = np.arange(max(nearest - 1, 0), min(nearest + 1, _N_CIRCLE_POINTS - 1) + 1)
    angles = indices * step
    x, y = circle.x + circle.radius * np.cos(angles), circle.y + circle.radius * np.sin(angles)
    best = int(np.argmin(np.hypot(x, y)))
    return float(x[best]), float(y[best])


def _azimuth(circle: Circle, vertex_x: float, vertex_y: float) -> float:
    """Return the angle in which a positive particle leaves the vertex: across to the way from the centre."""
    angle = math.atan2(vertex_y - circle.y, vertex_x - circle.x) % (2 * math.pi) + math.pi / 2
    return angle - 2 * math.pi if angle > 2 * math.pi else angle


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return slope and intercept of the line of least squares; None if it has no slope."""
    mean_x, mean_y = float(np.mean(x)), float(np.mean(y))
    spread = float(np.mean((x - mean_x) ** 2))
    if spread == 0:
        return None
    slope = float(np.mean((x - mean_x) * (y - mean_y))) / spread
    return None if slope == 0 else (slope, mean_y - slope * mean_x)


def _energy_loss(track: _Track, far: int) -> tuple[float, float] | None:
    """Return charge and length of the track from its first point to the edge of the small pads, or to its turn."""
    x, y, z = track.places[: far + 1].T
    is_beyond = np.hypot(x, y) > _SMALL_PADS_RADIUS_MM
    end = int(np.argmax(is_beyond)) if is_beyond.any() else len(x)
    last = min(end, len(x) - 1)
    if end < _MIN_LOSS_POINTS:
        return None
    way = track.curve(np.linspace(z[0], z[last], _N_LENGTH_STEPS))
    dz = (z[last] - z[0]) / (_N_LENGTH_STEPS - 1)
    steps = np.diff(way, axis=0)
    length = float(np.sqrt(steps[:, 0] ** 2 + steps[:, 1] ** 2 + dz * dz).sum())
    return float(track.charges[:end].sum()), length
