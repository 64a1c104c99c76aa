"""Phases: what a pipeline does with an event, one after another.

A phase is a function that takes the event on its way, the parameters, and the pad plane, and changes the event. Those
of std-daq are in `PHASES`. A phase of a user's own takes the event, and parameters of its own::

    def leave_out_far_points(event, *, radius_mm: float = 250.0):
        x, y = event.cloud[:, 0], event.cloud[:, 1]
        event.cloud = event.cloud[np.hypot(x, y) < radius_mm]
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import N_TIME_BUCKETS
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.cloud import make_cloud
from std_daq.tpc.reconstruction.cluster import Cluster
from std_daq.tpc.reconstruction.clusters import make_clusters
from std_daq.tpc.reconstruction.estimates import make_estimates
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.reconstruction.peaks import peaks_of
from std_daq.tpc.reconstruction.results import ESTIMATE, no_cloud

_FIRST_SAMPLE = -N_TIME_BUCKETS


@dataclass(slots=True)
class EventOnItsWay:
    """An event between two phases.

    Attributes
    ----------
    id, epoch
        Id of the event, and the number of runs before its own.
    matrix
        Traces, int16 (n_traces, 517).
    random
        Random numbers of this event.
    cloud
        Points, float64 (N, 8), in ascending z.
    clusters
        Clusters of the points, in the order of ``cluster_index``.
    estimates
        Records of `ESTIMATE`.
    """

    id: int
    epoch: int
    matrix: NDArray[np.int16]
    random: np.random.Generator
    cloud: NDArray[np.float64] = field(default_factory=no_cloud)
    clusters: list[Cluster] = field(default_factory=list)
    estimates: NDArray[Any] = field(default_factory=lambda: np.empty(0, ESTIMATE))


Phase = Callable[[EventOnItsWay, AnalysisParameters, PadPlane], None]


def find_cloud(event: EventOnItsWay, parameters: AnalysisParameters, plane: PadPlane) -> None:
    """Make the point cloud of the traces."""
    peaks = peaks_of(event.matrix[:, _FIRST_SAMPLE:], parameters.get, event.random)
    event.cloud = make_cloud(event.matrix, peaks, plane, parameters.detector)


def find_clusters(event: EventOnItsWay, parameters: AnalysisParameters, plane: PadPlane) -> None:  # noqa: ARG001
    """Find the clusters of the cloud."""
    event.clusters = make_clusters(event.cloud, parameters.cluster)


def find_estimates(event: EventOnItsWay, parameters: AnalysisParameters, plane: PadPlane) -> None:  # noqa: ARG001
    """Estimate the observables of the clusters."""
    event.estimates = make_estimates(event.cloud, event.clusters, event.id, parameters.detector, parameters.estimate)


PHASES: dict[str, Phase] = {"cloud": find_cloud, "clusters": find_clusters, "estimates": find_estimates}
"""The phases of std-daq by their names in a configuration."""
