"""The importer of merged files, as a process, with the options of all versions of Rerun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.pads.config import PadsConfig
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.view.importer_arguments import ImporterArguments
from std_daq.tpc.view.merged_import import EventRuns, drawings_of
from std_daq.view3d.recording_file import write_recording
from std_test_kit.merged_files import WRITERS
from std_test_kit.rerun_recordings import Recording, read_recording
from std_test_kit.track_events import track_event

OPTIONS_0_22 = [
    "--application-id", "app", "--recording-id", "rec", "--opened-application-id", "other",
    "--opened-recording-id", "old",
    "--sequence", "log_tick=0", "--time", "log_time=1700000000000000000",
]  # fmt: skip
OPTIONS_0_41 = [
    "--application-id", "app", "--recording-id", "rec", "--opened-application-id", "other",
    "--opened-recording-id", "old",
    "--time_duration_nanos", "log_time=1700000000000000000", "--sequence", "log_time=1700000000000000000",
]  # fmt: skip


def _import(
    arguments: list[str], config: Path | None = None, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "std_daq.cli.rerun_importer", *arguments]
    variables = {name: value for name, value in os.environ.items() if name != "STD_DAQ_TPC_CONFIG"}
    if config is not None:
        variables["STD_DAQ_TPC_CONFIG"] = str(config)
    return subprocess.run(command, capture_output=True, env=variables | environment, timeout=110, check=False)


def _recording(done: "subprocess.CompletedProcess[bytes]", folder: Path) -> Recording:
    assert done.returncode == 0, done.stderr.decode()
    path = folder / "imported.rrd"
    path.write_bytes(done.stdout)
    return read_recording(path)


def _drawn(path: Path, folder: Path) -> Recording:
    """Return what the importer draws, without a process of its own."""
    with MergedFile(path) as file:
        plane = load_pads(PadsConfig(geometry="attpc"))
        write_recording(folder / "drawn.rrd", "app", drawings_of(file, plane, AnalysisParameters()))
    return read_recording(folder / "drawn.rrd")


@pytest.fixture
def tracks(tmp_path: Path) -> Path:
    """A file of layout 1.0 with two runs of a track each, and an event of the other acquisition alone."""
    path = tmp_path / "tracks.merged"
    with h5py.File(path, "w") as file:
        events = file.create_group("events")
        events.attrs["version"] = "libattpc_merger:1.0"
        for n, event_id in ((0, 7), (1, 8), (3, 7)):
            traces = events.create_group(f"event_{n}").create_dataset("get_traces", data=track_event(n))
            for name, value in (("id", event_id), ("timestamp", n), ("timestamp_other", n)):
                traces.attrs[name] = np.uint32(value)
        other = events.create_group("event_2").create_group("frib_physics")
        other.attrs["id"], other.attrs["timestamp"] = np.uint32(1), np.uint32(2)
        other["977"] = np.array([1], "u2")
    return path


@pytest.mark.long
@pytest.mark.parametrize("options", [OPTIONS_0_22, [*OPTIONS_0_41, "--of-a-later-version", "--with", "value", "-x"]])
def test_events_are_analysed_and_drawn_whatever_the_options(tracks: Path, tmp_path: Path, options: list[str]) -> None:
    recording = _recording(_import([str(tracks), *options]), tmp_path)
    assert recording.application == "app"
    assert recording.has_blueprint
    clouds = recording.rows["/event/cloud"]
    assert [row.times["event_time"] for row in clouds] == [7, 8, 10_000_000_007]
    assert all(len(row.components["Points3D:positions"]) > 50 for row in clouds)
    for row in recording.rows["/event/circles"]:
        np.testing.assert_allclose(row.components["Ellipsoids3D:half_sizes"], [[150, 150, 0]] * 2, rtol=0.1)
    (text,) = recording.rows["/histograms/tally"][-1].components["TextDocument:text"]
    assert text.startswith("**run 1**: 1 events with 2 estimates")


@pytest.mark.long
def test_all_entities_lie_below_the_prefix_and_static_is_told_to_be_ignored(tracks: Path, tmp_path: Path) -> None:
    with h5py.File(tracks, "a") as file:
        del file["events/event_1"], file["events/event_3"]
    done = _import([str(tracks), "--entity-path-prefix", "/one/two/", "--static"])
    recording = _recording(done, tmp_path)
    entities = {entity for entity in recording.rows if not entity.startswith("/__")}
    assert {entity for entity in entities if not f"{entity}/".startswith("/one/two/")} == set()
    assert {"/one/two", "/one/two/event/cloud", "/one/two/histograms/tally", "/one/two/bounds/box"} <= entities
    assert [row.times["event_time"] for row in recording.rows["/one/two/event/cloud"]] == [7]
    assert not recording.has_blueprint
    assert b"--static is ignored" in done.stderr


@pytest.mark.long
def test_parameters_come_from_the_file_that_the_environment_names(tracks: Path, tmp_path: Path) -> None:
    config = tmp_path / "tpc.json"
    document = {
        "detector_name": "chamber", "detector_type": "get-tpc", "exporters": ["localhost:1"], "boards": "topology",
        "pads": {"geometry": "attpc"}, "analysis": {"cluster": {"min_cloud_size": 10_000}},
    }  # fmt: skip
    config.write_text(json.dumps(document))
    recording = _recording(_import([str(tracks)], config), tmp_path)
    assert all(not row.components.get("Ellipsoids3D:half_sizes") for row in recording.rows["/event/circles"])
    document["analysis"] = {"cluster": {"typo": 1}}
    config.write_text(json.dumps(document))
    done = _import([str(tracks)], config)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"typo" in done.stderr


@pytest.mark.parametrize("layout", WRITERS)
def test_all_layouts_are_imported_with_their_last_event(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    WRITERS[layout](path)
    ids = [row.times["event_time"] for row in _drawn(path, tmp_path).rows["/event/cloud"]]
    assert ids == ([100, 102] if layout in {"2.0", "harmonizer"} else [100, 101, 102])


# In a process of its own: processes of workers leave a tracker of their resources behind.
WITH_WORKERS = """
import sys
from pathlib import Path
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.pads.config import PadsConfig
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.view.merged_import import drawings_of
from std_daq.view3d.recording_file import write_recording
with MergedFile(sys.argv[1]) as file:
    plane = load_pads(PadsConfig(geometry="attpc"))
    write_recording(Path(sys.argv[2]), "app", drawings_of(file, plane, AnalysisParameters(), n_workers=2))
"""


@pytest.mark.long
def test_workers_give_what_one_process_gives(tracks: Path, tmp_path: Path) -> None:
    with h5py.File(tracks, "a") as file:
        del file["events/event_1/get_traces"].attrs["id"]
    by_workers = tmp_path / "by_workers.rrd"
    command = [sys.executable, "-c", WITH_WORKERS, str(tracks), str(by_workers)]
    done = subprocess.run(command, capture_output=True, timeout=110, check=True)
    assert done.stdout == b""
    one, two = _drawn(tracks, tmp_path).rows, read_recording(by_workers).rows
    for entity in ("/event/cloud", "/event/clusters", "/event/circles", "/logs/handler"):
        assert [row.components for row in one[entity]] == [row.components for row in two[entity]]


def test_a_damaged_event_is_told_and_the_others_are_drawn(tracks: Path, tmp_path: Path) -> None:
    with h5py.File(tracks, "a") as file:
        del file["events/event_1/get_traces"].attrs["id"]
    recording = _drawn(tracks, tmp_path)
    assert len(recording.rows["/event/cloud"]) == 2
    (line,) = recording.rows["/logs/handler"]
    assert line.components["TextLog:level"] == ["ERROR"]
    assert line.components["TextLog:text"][0].startswith("event 1 of the file: ")


def test_what_is_not_ours_is_left_to_others(tmp_path: Path) -> None:
    text, other, empty = tmp_path / "x.h5", tmp_path / "other.h5", tmp_path / "empty.h5"
    text.write_text("no HDF5")
    empty.touch()
    with h5py.File(other, "w") as file:
        file["entry/data"] = [1, 2, 3]
    for arguments in ([str(text)], [str(other)], [str(empty)], [str(tmp_path)], [str(tmp_path / "nothing.h5")], []):
        done = _import([*arguments, *OPTIONS_0_41])
        assert (done.returncode, done.stdout) == (66, b""), arguments


@pytest.mark.parametrize(
    ("argv", "file", "recording_id"),
    [
        (["{there}"], "{there}", None),
        (["{there}", *OPTIONS_0_22], "{there}", "rec"),
        ([*OPTIONS_0_41, "{there}"], "{there}", "rec"),
        (["--recording-id=r=1", "{there}"], "{there}", "r=1"),
        (["--unknown", "value", "--static", "{there}"], "{there}", None),
        (["--static"], None, None),
        (["--recording-id"], None, None),
    ],
)
def test_the_file_is_found_among_the_options(
    tmp_path: Path, argv: list[str], file: str | None, recording_id: str | None
) -> None:
    there = tmp_path / "there.h5"
    there.touch()
    arguments = ImporterArguments.of([one.format(there=there) for one in argv])
    assert arguments.file == (None if file is None else there)
    assert arguments.recording_id == recording_id


def test_ids_that_do_not_rise_begin_a_run_where_the_file_does_not_tell() -> None:
    runs = EventRuns()
    assert [runs.epoch_of(event_id, None) for event_id in (5, 6, 9, 1, 2, 2)] == [0, 0, 0, 1, 1, 2]
    runs = EventRuns()
    assert [runs.epoch_of(event_id, epoch) for event_id, epoch in ((5, 3), (6, 3), (1, 4))] == [3, 3, 4]
