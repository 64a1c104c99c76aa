"""How old the event is that a viewer shows, from the ring to the viewer, while another viewer hangs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from std_daq.client.scrape import Scrape, scrape
from std_daq.service.record import read_records
from std_daq.tpc.config import TpcConfig
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.live_exporters import ALL_BOARDS, LiveExporters
from std_test_kit.rerun_recordings import viewer_process
from std_test_kit.tpc_builder_process import tpc_document
from std_test_kit.wait import wait_until

PERIOD_S = 0.05
READY_S = 90.0
MEASURED_S = 4.0
MAX_AGE_S = 1.0


@contextmanager
def service(module: str, config_file: Path, *options: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", module, "--config", str(config_file), *options])
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def state_of(config: TpcConfig, instance: str) -> Scrape:
    found = [record for record in read_records(config) if record.instance == instance]
    return scrape(found[0].socket) if found else Scrape(is_answering=False)


@pytest.mark.long
@pytest.mark.alone
def test_event_that_is_shown_is_younger_than_a_second_while_another_viewer_hangs(
    tmp_path: Path, shm_dir: Path, runtime: Path
) -> None:
    with ExitStack() as opened:
        exporters = opened.enter_context(LiveExporters(PERIOD_S))
        document = tpc_document(
            shm_dir,
            runtime,
            exporters.addresses,
            boards=[list(board) for board in ALL_BOARDS],
            pads={"geometry": "attpc"},
            services={"event-analysis": {"workers": 1}},
        )
        file = tmp_path / "tpc.json"
        file.write_text(json.dumps(document))
        config = TpcConfig.model_validate(document)
        hanging, viewer = opened.enter_context(viewer_process(tmp_path / "hanging.rrd"))
        browser = free_tcp_port()
        opened.enter_context(service("std_event_builder", file))
        opened.enter_context(service("std_event_analysis", file))
        opened.enter_context(service("std_event_view", file, "--viewer", str(hanging), "--browser", str(browser)))

        def shown() -> dict[str, float]:
            return state_of(config, "event-view").by_label("daq_event_view_shown_total", "viewer")

        for instance in ("event-builder", "event-analysis", "event-view"):
            wait_until(lambda: state_of(config, instance).is_ready, READY_S)  # noqa: B023 - is waited for here
        exporters.start()
        wait_until(lambda: len(shown()) == 2 and min(shown().values()) > 0, READY_S, lambda: f"shown: {shown()}")
        os.kill(viewer.pid, signal.SIGSTOP)
        (other,) = shown().keys() - {str(hanging)}
        n_before = shown()[other]
        ages = []
        end_s = time.monotonic() + MEASURED_S
        while time.monotonic() < end_s:
            found = state_of(config, "event-view").by_label("daq_event_view_shown_age_seconds", "viewer")
            ages.append(found[other])
            time.sleep(0.1)
        sys.stdout.write(f"age of the event shown: {min(ages):.3f} to {max(ages):.3f} s\n")
        assert shown()[other] - n_before > MEASURED_S  # more than one a second
        assert max(ages) < MAX_AGE_S, ages
        exporters.stop()
        builder = state_of(config, "event-builder")
        wait_until(lambda: state_of(config, "event-builder").total("daq_builder_events_waiting") == 0, READY_S)
        assert set(builder.by_label("daq_builder_frames_total", "outcome")) >= {"used"}
        outcomes = state_of(config, "event-builder").by_label("daq_builder_frames_total", "outcome")
        n_sent = sum(exporter.n_sent for exporter in exporters.all)
        assert outcomes["used"] == n_sent == sum(outcomes.values()), outcomes
        assert state_of(config, "event-builder").by_label("daq_builder_events_total", "status")["incomplete"] == 0
