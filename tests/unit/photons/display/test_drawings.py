"""Drawings of a detector, its hits and photons on their way: recordings are read back entity by entity."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.errors import ConfigError
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.display.drawings import ArrivalDrawing, DetectorDrawing, HitsDrawing, PathsDrawing, ViewLayout
from std_daq.photons.display.page import unrolled_page
from std_daq.photons.display.photon_paths import PhotonPath, PhotonPaths
from std_daq.photons.display.placed_meshes import channel_radii, placed_meshes
from std_daq.photons.display.shown_hits import ShownHits
from std_daq.photons.flags import Flag
from std_daq.photons.geometry.load import check_geometry
from std_daq.photons.protocol import digest_of, job_key, photon_request
from std_daq.photons.sources import isotropic
from std_daq.view3d.drawing import Drawing
from std_daq.view3d.recording_file import write_recording
from std_test_kit.rerun_recordings import Recording, read_recording

NOWHERE = Path("/nowhere")
DOCUMENT: dict[str, Any] = {
    "format": "std-sim-geometry", "version": 1, "materials": {"water": {}, "air": {}},
    "surfaces": {"eye": {"detect": 1}, "black": {"absorb": 1}},
    "solids": [{"shape": "box", "size": [400, 400, 400], "inner": "water", "outer": "air", "surface": "black",
                "faces": {"+z": {"surface": "eye", "channel": 3}}},
               {"shape": "sphere", "radius": 5, "position": [0, 0, 50], "inner": "air", "outer": "water"}],
    "parts": {"pmt": [{"shape": "sphere", "radius": 10, "inner": "water", "outer": "water", "surface": "eye"}]},
    "arrays": [{"part": "pmt", "positions": [[100, 0, 0], [-100, 0, 0], [0, 100, 0]],
                "directions": [[-1, 0, 0], [1, 0, 0], [0, -1, 0]], "first_channel": 0}],
}  # fmt: skip
POSITIONS = np.array([[100.0, 0, 0], [-100, 0, 0], [0, 100, 0], [0, 0, 200]])
FLAT = POSITIONS[:, :2]


def _hits(*rows: tuple[int, int, float]) -> ShownHits:
    channels, events, times = zip(*rows, strict=True)
    return ShownHits(np.array(channels), np.array(events), np.array(times, float))


HITS = _hits((0, 4, 10.0), (0, 4, 8.0), (2, 4, 12.0), (1, 9, 3.0))


def _recorded(folder: Path, *drawings: Drawing) -> Recording:
    write_recording(folder / "drawn.rrd", "std-sim", drawings)
    return read_recording(folder / "drawn.rrd")


def _drawn_hits(hits: ShownHits) -> HitsDrawing:
    geometry = check_geometry(DOCUMENT)
    return HitsDrawing(hits, POSITIONS, channel_radii(geometry, NOWHERE), FLAT)


def test_a_part_is_one_mesh_with_all_its_places(tmp_path: Path) -> None:
    meshes = list(placed_meshes(check_geometry(DOCUMENT), NOWHERE))
    assert [(mesh.name, mesh.kind, len(mesh.positions)) for mesh in meshes] == [
        ("solids/0", "detecting", 1),
        ("solids/1", "plain", 1),
        ("arrays/0/0", "detecting", 3),
    ]
    recording = _recorded(tmp_path, DetectorDrawing(meshes, FLAT))
    row = recording.row("/detector/arrays/0/0")
    assert row.is_static
    assert row.components["InstancePoses3D:translations"] == POSITIONS[:3].tolist()
    assert len(row.components["InstancePoses3D:mat3x3"]) == 3
    corners = np.array(row.components["Mesh3D:vertex_positions"])
    assert len(corners) == 3 * len(meshes[2].triangles)
    np.testing.assert_allclose(np.linalg.norm(corners, axis=1), 10, rtol=1e-5)
    sphere = np.array(recording.row("/detector/solids/1").components["Mesh3D:vertex_positions"])
    np.testing.assert_allclose(np.linalg.norm(sphere - [0, 0, 50], axis=1), 5, rtol=1e-4)
    assert len(recording.row("/unrolled/channels").components["Points2D:positions"]) == 4


def test_a_turned_part_is_where_the_geometry_file_says(tmp_path: Path) -> None:
    document = {
        **DOCUMENT,
        "parts": {"pmt": [{"shape": "disc", "radius": 1, "inner": "water", "outer": "water", "position": [0, 0, 5]}]},
    }
    row = _recorded(tmp_path, DetectorDrawing(list(placed_meshes(check_geometry(document), NOWHERE)), FLAT)).row(
        "/detector/arrays/0/0"
    )
    # Rerun's matrices are told column by column.
    turn = np.array(row.components["InstancePoses3D:mat3x3"][0]).reshape(3, 3).T
    corners = (
        np.array(row.components["Mesh3D:vertex_positions"]) @ turn.T + row.components["InstancePoses3D:translations"][0]
    )
    np.testing.assert_allclose(corners[:, 0], 95, atol=1e-4)


def test_hits_of_each_event_are_on_the_timeline_with_charge_and_first_time(tmp_path: Path) -> None:
    recording = _recorded(tmp_path, _drawn_hits(HITS))
    charge, time = recording.rows["/hits/charge"], recording.rows["/hits/time"]
    assert [row.times["event"] for row in charge] == [row.times["event"] for row in time] == [4, 9]
    assert [row.components["channel"] for row in charge] == [[0, 2], [1]]
    assert charge[0].components["Ellipsoids3D:centers"] == POSITIONS[[0, 2]].tolist()
    dark, bright = 0x440154FF, 0xFDE725FF
    assert charge[0].components["Ellipsoids3D:colors"] == [bright, dark]
    assert time[0].components["Ellipsoids3D:colors"] == [dark, bright]
    assert recording.rows["/unrolled/charge"][0].components["Points2D:positions"] == [[100, 0], [0, -100]]
    times = recording.rows["/hit_times"][0].components
    assert sum(times["BarChart:values"][0]["buffer"]) == 3
    assert len(times["BarChart:widths"]) == len(times["BarChart:abscissa"][0]["buffer"])


def test_the_ball_of_a_hit_covers_its_sensor(tmp_path: Path) -> None:
    row = _recorded(tmp_path, _drawn_hits(_hits((0, 0, 1.0), (3, 0, 2.0)))).row("/hits/charge")
    ball, face = np.array(row.components["Ellipsoids3D:half_sizes"])[:, 0]
    assert 10 < ball < 12
    assert face < 200  # a face shows a ball on it, not one around the box


def test_light_arrives_as_time_goes_on(tmp_path: Path) -> None:
    path = PhotonPath(0, np.array([[0.0, 0, 0], [100, 0, 0]]), np.array([0.0, 10]), Flag.SURFACE_DETECT)
    recording = _recorded(tmp_path, ArrivalDrawing(_drawn_hits(HITS.of_event(4)), PhotonPaths(4, (path,))))
    channels, photons = recording.rows["/arriving/channels"], recording.rows["/arriving/photons"]
    assert [row.times["photon_time"] for row in channels] == list(range(13))
    assert [len(row.components.get("Ellipsoids3D:centers", [])) for row in channels] == [0] * 8 + [1] * 4 + [2]
    assert all("event" not in row.times for row in channels)
    np.testing.assert_allclose(
        [row.components["Points3D:positions"][0][0] for row in photons], [*range(0, 101, 10), 100, 100]
    )


def test_ways_say_how_they_end(tmp_path: Path) -> None:
    points = np.array([[0.0, 0, 0], [1, 2, 3], [4, 5, 6]])
    ended, alive = (PhotonPath(n, points, np.arange(3.0), end) for n, end in ((5, Flag.NO_HIT), (7, None)))
    recording = _recorded(tmp_path, PathsDrawing(PhotonPaths(4, (ended, alive))))
    row = recording.row("/photons/5")
    assert row.times["event"] == 4
    assert row.components["LineStrips3D:strips"] == [points.tolist()]
    assert row.components["LineStrips3D:labels"] == ["photon 5: NO_HIT after 2.0 ns"]
    assert recording.row("/photons/7").components["LineStrips3D:labels"] == ["photon 7: alive after 2.0 ns"]


def test_the_layout_is_a_blueprint(tmp_path: Path) -> None:
    assert _recorded(tmp_path, ViewLayout(has_arrival=True), _drawn_hits(HITS)).has_blueprint


@pytest.fixture
def event(tmp_path: Path) -> tuple[Path, Path]:
    """A geometry file, and a file of photons with events 4 and 9."""
    geometry, photons = tmp_path / "geometry.json", tmp_path / "photons.npz"
    geometry.write_text(json.dumps(DOCUMENT))
    light = isotropic(200, wavelength=400, seed=3)
    np.savez(photons, event_id=np.repeat([4, 9], 100), photons=light)
    return geometry, photons


def test_ways_end_where_the_photons_of_a_worker_end(event: tuple[Path, Path]) -> None:
    geometry, photons = event
    paths = PhotonPaths.trace(geometry, photons, event=9, numbers=[3, 60], n_first=1, seed=11)
    light = isotropic(200, wavelength=400, seed=3)[100:]
    ended = PhotonDetector.load(geometry).propagate(light, seed=11, key=job_key(digest_of(photon_request(9, light))))
    for path in paths.paths:
        one = ended[path.number]
        assert path.points[0].tolist() == [0, 0, 0]
        assert path.points[-1].tolist() == [one["x"], one["y"], one["z"]]
        assert path.end is not None
        assert int(one["flags"]) & path.end
    assert [path.number for path in paths.paths] == [3, 60]


def test_without_numbers_the_first_photons_of_the_first_event_are_traced(event: tuple[Path, Path]) -> None:
    paths = PhotonPaths.trace(*event, event=None, numbers=None, n_first=7, seed=0)
    assert paths.event == 4
    assert [path.number for path in paths.paths] == list(range(7))


@pytest.mark.parametrize(
    ("number", "numbers", "problem"), [(5, None, "no such event"), (4, [100], "photons are 0 to 99")]
)
def test_events_and_photons_that_are_not_there_are_told(
    event: tuple[Path, Path], number: int, numbers: list[int] | None, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        PhotonPaths.trace(*event, event=number, numbers=numbers, n_first=1, seed=0)


def test_the_page_holds_all_events_and_needs_nothing_else() -> None:
    page = unrolled_page(FLAT, HITS)
    data = re.search(r'id="data">(.*?)</script>', page)
    assert data is not None
    document = json.loads(data[1])
    assert document["places"] == FLAT.tolist()
    assert [one["name"] for one in document["events"]] == ["all", "4", "9"]
    assert document["events"][1] == {"name": "4", "channels": [0, 2], "counts": [2, 1], "times": [8.0, 12.0]}
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert json.loads(re.findall(r'id="data">(.*?)</script>', unrolled_page(FLAT, None))[0])["events"] == []
