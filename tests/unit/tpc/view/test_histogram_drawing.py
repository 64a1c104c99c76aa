"""Histograms as a recording has them."""

from pathlib import Path

import numpy as np

from std_daq.tpc.histograms.definitions import DEFINITIONS
from std_daq.tpc.histograms.message import HistogramMessage
from std_daq.tpc.histograms.recent_histograms import RecentHistograms
from std_daq.tpc.histograms.run_histograms import RunHistograms
from std_daq.tpc.reconstruction.results import ESTIMATE
from std_daq.tpc.view.histogram_drawing import HistogramDrawing, tally_text
from std_daq.tpc.view.layout import APPLICATION, ChamberLayout
from std_daq.view3d.recording_file import write_recording
from std_test_kit.rerun_recordings import read_recording

ESTIMATES = np.zeros(2, ESTIMATE)
ESTIMATES["brho"], ESTIMATES["polar"], ESTIMATES["sqrt_dEdx"] = [1.5, 9.0], np.pi / 4, 50.0


def _run() -> HistogramMessage:
    runs = RunHistograms()
    runs.add(2, ESTIMATES)
    runs.leave_out(2, 3)
    return HistogramMessage.of_run(runs.epoch, runs.current)


def _recent() -> HistogramMessage:
    recent = RecentHistograms(300.0)
    recent.add(ESTIMATES, 0.0)
    return HistogramMessage.of_window(recent.window_s, recent.current(0.0))


def test_histograms_are_tensors_and_bar_charts_without_time(tmp_path: Path) -> None:
    write_recording(tmp_path / "x.rrd", APPLICATION, [HistogramDrawing(_run()), HistogramDrawing(_recent())])
    recording = read_recording(tmp_path / "x.rrd")
    for folder in ("/histograms", "/recent"):
        for definition in DEFINITIONS:
            row = recording.row(f"{folder}/{definition.name}")
            assert row.is_static
            (kind,) = {name.partition(":")[0] for name in row.components}
            assert kind == ("BarChart" if len(definition.axes) == 1 else "Tensor")


def test_a_tensor_has_the_axis_to_the_right_first(tmp_path: Path) -> None:
    write_recording(tmp_path / "x.rrd", APPLICATION, [HistogramDrawing(_run())])
    recording = read_recording(tmp_path / "x.rrd")
    (tensor,) = recording.row("/histograms/kinematics").components["Tensor:data"]
    assert tensor["shape"] == [180, 512]
    counts = np.array(tensor["buffer"]).reshape(180, 512)
    assert np.argwhere(counts).tolist() == [[45, 256]]
    assert tensor["names"] == ["polar angle, 0 to 180 degrees", "Brho, 0 to 3 T m"]
    (tensor,) = recording.row("/histograms/particle_id").components["Tensor:data"]
    assert np.argwhere(np.array(tensor["buffer"]).reshape(512, 512)).tolist() == [[128, 256]]


def test_the_axis_of_the_polar_angle_is_in_degrees(tmp_path: Path) -> None:
    write_recording(tmp_path / "x.rrd", APPLICATION, [HistogramDrawing(_run())])
    chart = read_recording(tmp_path / "x.rrd").row("/histograms/polar_angle").components
    (values,), (axis,) = chart["BarChart:values"], chart["BarChart:abscissa"]
    assert [axis["buffer"][number] for number in np.flatnonzero(values["buffer"])] == [45.5]
    assert set(chart["BarChart:widths"]) == {1.0}


def test_the_text_says_what_is_in_and_what_is_not() -> None:
    assert tally_text(_run()) == (
        "**run 2**: 1 events with 2 estimates; 3 events left out; "
        "estimates outside of the axes: particle_id 1, kinematics 1, brho 1"
    )
    assert tally_text(_recent()).startswith("**the last 5 minutes**: 1 events")
    nothing = HistogramMessage.of_run(None, RunHistograms().current)
    assert tally_text(nothing) == "**no run yet**: 0 events with 0 estimates; 0 events left out"


def test_both_layouts_are_blueprints(tmp_path: Path) -> None:
    for is_live in (False, True):
        write_recording(tmp_path / "x.rrd", APPLICATION, [ChamberLayout(is_live), HistogramDrawing(_run())])
        recording = read_recording(tmp_path / "x.rrd")
        assert recording.has_blueprint
        assert recording.application == "attpc_conduit_data"
