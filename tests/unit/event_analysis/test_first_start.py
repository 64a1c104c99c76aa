"""The first start of a worker, when nothing is compiled yet."""

import sys
import time
from pathlib import Path

import pytest

from std_daq.tpc.pads.config import PadsConfig
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.reconstruction.compilation import kernels_of_phases
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_event_analysis.workers import Workers
from std_test_kit.wait import wait_until

READY_S = 300.0


@pytest.mark.long
@pytest.mark.timeout(400)
def test_worker_compiles_before_it_takes_events_and_is_not_ended_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    plane, parameters = load_pads(PadsConfig(geometry="attpc")), AnalysisParameters()
    workers = Workers(1, tmp_path / "no-ring", plane, parameters, event_timeout_s=60.0)
    try:
        workers.answers(0.0)
        begun_s = time.monotonic()
        wait_until(lambda: workers.answers(0.02) == [] and workers.n_ready == 1, READY_S)
        took_s = time.monotonic() - begun_s
        assert workers.n_died == 0
    finally:
        workers.close()
    (marks,) = (tmp_path / "cache").glob("std-daq-*/compiled")
    done = {file.name for file in marks.iterdir() if file.stat().st_size}
    for name, _ in kernels_of_phases():
        assert any(f".{name}-" in mark for mark in done), (name, done)
    sys.stdout.write(f"ready after {took_s:.1f} s\n")


@pytest.mark.long
def test_time_to_compile_does_not_count_as_time_to_start(tmp_path: Path) -> None:
    now_s = [0.0]
    plane, parameters = load_pads(PadsConfig(geometry="attpc")), AnalysisParameters()
    workers = Workers(1, tmp_path / "no-ring", plane, parameters, event_timeout_s=60.0, clock=lambda: now_s[0])
    try:
        (one,) = workers._running
        wait_until(lambda: workers.answers(0.02) == [] and one.is_compiling | one.is_ready, READY_S)
        if not one.is_ready:
            now_s[0] += 200.0
            workers.answers(0.0)
            assert not one.has_timed_out
        wait_until(lambda: workers.answers(0.02) == [] and workers.n_ready == 1, READY_S)
        assert workers.n_died == 0
        workers.give(0)
        assert workers.answers(5.0) == [("overwritten",)]
    finally:
        workers.close()
