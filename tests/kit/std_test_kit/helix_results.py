"""Results of events with tracks that can be seen: helices from the axis of the chamber, and noise."""

import time

import numpy as np

from std_daq.tpc.reconstruction.results import ESTIMATE, NOISE, EventResult

_N_TURNS = 1.5


def helix_result(event_id: int, *, n_tracks: int = 2, n_points: int = 400, n_noise: int = 200) -> EventResult:
    """Return a result; track k has label k, a radius of 60 + 20 k mm, and the same number of points as the others."""
    generator = np.random.default_rng(event_id)
    clouds, labels = [], []
    estimates = np.zeros(n_tracks, ESTIMATE)
    for label in range(n_tracks):
        radius, phase, begin = 60.0 + 20 * label, generator.uniform(0, 2 * np.pi), generator.uniform(100, 500)
        angle = np.linspace(0, 2 * np.pi * _N_TURNS, n_points)
        centre = radius * np.array([np.cos(phase), np.sin(phase)])
        cloud = np.zeros((n_points, 8))
        cloud[:, 0] = centre[0] - radius * np.cos(angle + phase)
        cloud[:, 1] = centre[1] - radius * np.sin(angle + phase)
        cloud[:, 2] = begin + 40 * angle
        cloud[:, 3] = 100 + angle * 50
        clouds.append(cloud)
        labels.append(np.full(n_points, label))
        one = estimates[label]
        one["event"], one["cluster_index"], one["cluster_label"] = event_id, label, label
        one["polar"], one["azimuthal"] = 1.0 + 0.3 * label, 1.0
        one["brho"] = radius / 1000 / np.sin(one["polar"])  # in a field of 1 T
        one["center_x"], one["center_y"], one["vertex_z"], one["sqrt_dEdx"] = *centre, begin, 30.0 + 20 * label
    clouds.append(generator.uniform([-280, -280, 0, 10, 0, 0, 0, 0], [280, 280, 1000, 60, 1, 1, 1, 1], (n_noise, 8)))
    labels.append(np.full(n_noise, NOISE))
    points, label_of = np.concatenate(clouds), np.concatenate(labels).astype(np.int32)
    order = np.argsort(points[:, 2], kind="stable")
    return EventResult(
        id=event_id,
        epoch=0,
        cloud=points[order],
        labels=label_of[order],
        estimates=estimates,
        built_ns=time.time_ns(),
        n_traces=len(points),
        number=event_id,
    )
