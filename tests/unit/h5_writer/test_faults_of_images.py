"""What the writer reports of images that are not good, and what can be read of it from the file."""

from pathlib import Path
from typing import Any

from std_daq.hdf5 import open_hdf5
from std_daq.imaging.files.contents import count_faults, read_columns
from std_daq.imaging.image_faults import describe_faults
from std_daq.recording.store_stream import ReportKind


def test_modules_and_storage_cells_without_calibration_are_reported_and_stand_in_the_file(
    bench: Any, tmp_path: Path
) -> None:
    ring = bench.make_ring()
    path = tmp_path / "run.h5"
    bench.agent.start(path)
    for image_id, uncalibrated in enumerate([{}, {1: 3}, {0: 15, 1: 3}, {}]):
        bench.agent.send(ring.publish(image_id, uncalibrated=uncalibrated), image_id)
    bench.agent.end(4)
    bench.step_until(ReportKind.DRAINED)
    bench.agent.finish()
    report = bench.step_until(ReportKind.FINISHED)
    words = "2 images with frames without calibration (modules 0, 1; storage cells 3, 15)"
    assert describe_faults(report.faults) == words
    with open_hdf5(path, "r") as file:
        assert describe_faults(count_faults(read_columns(file)).faults) == words
