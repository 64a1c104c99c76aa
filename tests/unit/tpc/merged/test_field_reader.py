"""The field's own reader opens the files that std-daq writes."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from std_daq.recording.requests import RunReport, Verdict
from std_daq.tpc.merged.description import MergedFileDescription
from std_daq.tpc.merged.event_log import LoggedEvent
from std_daq.tpc.merged.layout import Layout
from std_daq.tpc.merged.writer import MergedFileWriter
from std_test_kit.field_analysis import DRIVER, PYTHON, needs_field_analysis
from std_test_kit.merged_files import make_traces

N_EVENTS = 4


@needs_field_analysis
@pytest.mark.long
def test_the_field_reads_every_trace_of_layout_1(tmp_path: Path) -> None:
    file, found = tmp_path / "run_0001.h5", tmp_path / "found.npz"
    writer = MergedFileWriter.create(file, MergedFileDescription(layout=Layout.V1_0))
    for n in range(N_EVENTS):
        event = LoggedEvent(100 + n, 0, 1000, 2000, is_complete=True, places=(), missing_boards=b"")
        writer.append(event, [make_traces(n, 20)])
    writer.finish(RunReport(request_id="1", verdict=Verdict.COMPLETE, n_written=N_EVENTS))
    subprocess.run([PYTHON, DRIVER.with_name("spyral_reader.py"), file, found], check=True, timeout=300)
    with np.load(found) as events:
        # It goes up to the event before max_event, in files of the merger as well.
        assert sorted(events) == [f"event_{n}" for n in range(N_EVENTS - 1)]
        for n in range(N_EVENTS - 1):
            np.testing.assert_array_equal(events[f"event_{n}"], make_traces(n, 20))
