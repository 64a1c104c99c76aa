"""Events and what is around them, as a recording has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.tpc.reconstruction.results import ESTIMATE, EventResult, no_cloud
from std_daq.tpc.view.event_drawing import ChamberDrawing, EventDrawing, circle_radii
from std_daq.tpc.view.label_colours import NOISE_CLASS, class_colours
from std_daq.tpc.view.timeline import event_time
from std_daq.view3d.recording_file import write_recording
from std_test_kit.rerun_recordings import Recording, read_recording


def _result(event_id: int, epoch: int = 0, labels: tuple[int, ...] = (0, 12, -1), **estimate: float) -> EventResult:
    cloud = np.arange(8.0 * len(labels)).reshape(-1, 8)
    estimates = np.zeros(1, ESTIMATE)
    for name, value in {"brho": 0.9, "polar": np.pi / 6, "cluster_label": 12, **estimate}.items():
        estimates[name] = value
    return EventResult(event_id, epoch, cloud, np.array(labels, np.int32), estimates)


def _recorded(folder: Path, *drawings: Any) -> Recording:
    write_recording(folder / "drawn.rrd", "app", drawings)
    return read_recording(folder / "drawn.rrd")


def test_the_chamber_and_the_colours_of_labels_have_no_time(tmp_path: Path) -> None:
    recording = _recorded(tmp_path, ChamberDrawing())
    box = recording.row("/bounds/box")
    assert box.is_static
    assert box.components["Boxes3D:half_sizes"] == [[300, 300, 500]]
    assert box.components["Boxes3D:centers"] == [[0, 0, 500]]
    assert recording.row("/").components["ViewCoordinates:xyz"] == [[1, 3, 5]]  # up, right, forward
    (context,) = recording.row("/event").components["AnnotationContext:context"]
    named = {one["class_id"]: one["class_description"]["info"]["label"] for one in context}
    assert recording.row("/event").is_static
    assert len(named) == NOISE_CLASS + 1
    assert (named[0], named[12], named[NOISE_CLASS]) == ("cluster 0", "cluster 12", "noise")


def test_an_event_has_its_cloud_its_clusters_and_the_circles_of_its_tracks(tmp_path: Path) -> None:
    result = _result(7, center_x=10, center_y=20, vertex_z=30, center_z=99)
    recording = _recorded(tmp_path, EventDrawing(result, magnetic_field=3.0))
    cloud, clusters, circles = (recording.row(f"/event/{name}") for name in ("cloud", "clusters", "circles"))
    assert {row.times["event_time"] for row in (cloud, clusters, circles)} == {7}
    assert (
        cloud.components["Points3D:positions"]
        == clusters.components["Points3D:positions"]
        == result.cloud[:, :3].tolist()
    )
    assert clusters.components["Points3D:class_ids"] == [0, 12, NOISE_CLASS]
    assert cloud.components["Points3D:radii"] == [2]
    assert cloud.components["Points3D:colors"][-1] == 0xFDE725FF  # the largest amplitude
    np.testing.assert_allclose(circles.components["Ellipsoids3D:half_sizes"], [[150, 150, 0]], rtol=1e-6)
    assert circles.components["Ellipsoids3D:centers"] == [[10, 20, 30]]
    assert circles.components["Ellipsoids3D:class_ids"] == [12]


def test_the_event_before_is_cleared_first(tmp_path: Path) -> None:
    recording = _recorded(tmp_path, EventDrawing(_result(1), 3.0), EventDrawing(_result(2), 3.0))
    assert [row.components["Clear:is_recursive"] for row in recording.rows["/event"]] == [[True], [True]]
    assert [row.times["event_time"] for row in recording.rows["/event"]] == [1, 2]


def test_an_event_without_points_is_drawn_as_one(tmp_path: Path) -> None:
    empty = EventResult(3, 0, no_cloud(), np.empty(0, np.int32), np.empty(0, ESTIMATE))
    recording = _recorded(tmp_path, EventDrawing(empty, 3.0))
    assert recording.row("/event/cloud").components.get("Points3D:positions", []) == []


def test_runs_do_not_lie_over_each_other(tmp_path: Path) -> None:
    assert event_time(0, 4_294_967_295) < event_time(1, 0) < event_time(1, 17) < event_time(2, 0)
    recording = _recorded(tmp_path, EventDrawing(_result(5), 3.0), EventDrawing(_result(5, epoch=1), 3.0))
    assert [row.times["event_time"] for row in recording.rows["/event/cloud"]] == [5, 10_000_000_005]


@pytest.mark.parametrize("wrong", [{"brho": np.nan}, {"center_x": np.nan}, {"vertex_z": np.inf}])
def test_a_circle_that_is_not_known_is_left_out(tmp_path: Path, wrong: dict[str, float]) -> None:
    recording = _recorded(tmp_path, EventDrawing(_result(1, **wrong), 3.0))
    assert recording.row("/event/circles").components.get("Ellipsoids3D:half_sizes", []) == []


def test_the_radius_of_a_backward_track_is_positive() -> None:
    estimates = np.zeros(2, ESTIMATE)
    estimates["brho"], estimates["polar"] = 0.6, [0.4, np.pi - 0.4]
    np.testing.assert_allclose(circle_radii(estimates, 2.0), 300 * np.sin(0.4))


def test_a_hundred_labels_have_colours_and_neighbours_differ() -> None:
    colours = [colour for _, _, colour in class_colours()]
    grey = colours[-1]
    assert all(colours[label] != colours[label + 1] for label in range(100))
    assert len(set(colours[:50])) == 50
    assert grey not in colours[:-1]
