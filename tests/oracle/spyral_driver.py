"""Runs attpc_spyral on events, in an environment of its own: spyral_driver.py EVENTS.npz CHAMBER.json RESULT.npz.

EVENTS.npz has the ids and a matrix for each, CHAMBER.json the parameters and the files of the pads. RESULT.npz has what
came out, and the time of each step in CPU seconds.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from spyral.core.clusterize import cleanup_clusters, form_clusters, join_clusters
from spyral.core.config import (
    ClusterParameters,
    ContinuityJoinParameters,
    DetectorParameters,
    EstimateParameters,
    GetParameters,
    OverlapJoinParameters,
    PadParameters,
)
from spyral.core.estimator import estimate_physics
from spyral.core.pad_map import PadMap
from spyral.core.point_cloud import calibrate_point_cloud_z, point_cloud_from_get, sort_point_cloud_in_z
from spyral.trace.get_event import GetEvent, preprocess_traces

_NOT_MEASURED = (-1.0, -1.0, -1.0, -1.0, -1, -1)


def main() -> None:
    """Analyse all events."""
    events, chamber, output = sys.argv[1:]
    document = json.loads(Path(chamber).read_text())
    analysis = document["analysis"]
    pads = PadMap(PadParameters(**{name: Path(file) for name, file in document["pads"].items()}))
    detector = DetectorParameters(**analysis["detector"], garfield_file_path=Path(), do_garfield_correction=False)
    get, estimate = GetParameters(**analysis["get"]), EstimateParameters(**analysis["estimate"])
    joins = {"overlap_join": OverlapJoinParameters, "continuity_join": ContinuityJoinParameters}
    chosen = {name: join(**analysis["cluster"][name]) for name, join in joins.items() if analysis["cluster"][name]}
    cluster = ClusterParameters(**{**analysis["cluster"], "overlap_join": None, "continuity_join": None, **chosen})
    found, seconds = {}, []
    with np.load(events) as file:
        for event_id in file["ids"].tolist():
            matrix = file[f"matrix_{event_id}"]
            random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([analysis["seed"], event_id])))
            times = [time.process_time()]
            cloud = point_cloud_from_get(GetEvent(matrix, event_id, get, random), pads)
            calibrate_point_cloud_z(cloud, detector, None)
            sort_point_cloud_in_z(cloud)
            points = cloud.data.copy()
            times.append(time.process_time())
            clusters = []
            if len(points) >= cluster.min_cloud_size:
                clusters, _ = cleanup_clusters(*_joined(cloud, cluster))
            tracks = [(one.label, one.data[:, :3].copy()) for one in clusters]
            times.append(time.process_time())
            rows = []
            for index, one in enumerate(clusters):
                if len(one.data) >= estimate.min_total_trajectory_points:
                    row = estimate_physics(index, one, *_NOT_MEASURED, estimate, detector)
                    rows += [] if row is None else [_plain(row)]
            times.append(time.process_time())
            seconds.append(np.diff(times))
            found[f"traces_{event_id}"] = preprocess_traces(matrix[:, 5:].copy(), get.baseline_window_scale)
            found[f"cloud_{event_id}"] = points
            found[f"labels_{event_id}"] = np.array([label for label, _ in tracks], int)
            found[f"estimates_{event_id}"] = json.dumps(rows)
            for index, (_, track) in enumerate(tracks):
                found[f"track_{event_id}_{index}"] = track
    np.savez(output, seconds=np.array(seconds), **found)


def _joined(cloud, parameters):
    clusters, labels = form_clusters(cloud, parameters)
    clusters, labels = join_clusters(clusters, parameters, labels)
    return clusters, parameters, labels


def _plain(row):
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {name: float(getattr(value, "value", value)) for name, value in values.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
