"""``std-daq up`` and ``status`` for a chamber, as users start it, with simulated exporters."""

import json
from pathlib import Path

from std_daq.recording.status_channel import StatusListener
from std_daq.service.record import read_records
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.pads.channel_map import write_channel_map
from std_daq.tpc.simulation.invented_map import invented_map
from std_test_kit.beamline import Beamline, wait_accepted
from std_test_kit.free_ports import free_tcp_port

BOARDS = [(0, 0), (1, 2)]
SERVICES = {"event-builder", "event-analysis", "writer-agent", "h5-writer-0"}


def test_a_chamber_comes_up_without_exporters_and_records_when_they_send(
    tmp_path: Path, shm_dir: Path, runtime: Path, broker_url: str, tag: str
) -> None:
    write_channel_map(tmp_path / "map.csv", invented_map(BOARDS, 10240))
    document = {
        "detector_name": tag,
        "detector_type": "get-tpc",
        "exporters": [f"127.0.0.1:{free_tcp_port()}", f"127.0.0.1:{free_tcp_port()}"],
        "pads": {"electronics": "map.csv", "geometry": "attpc", "scale": "attpc", "beam_radius_mm": 20},
        "builder": {"ram_buffer_gb": 0.05},
        "shared_memory": {"directory": str(shm_dir)},
        "writer": {"output_roots": [str(tmp_path)], "image_timeout_s": 30.0, "min_free_gb": 0},
    }
    file = tmp_path / "run.h5"
    with Beamline(tmp_path, broker_url, document, "tpc.json") as line:
        with StatusListener(broker_url) as listener:
            listener.connection.wait_connected(10.0)
            with line.write(file, "--n-events", "20") as writing:
                wait_accepted(listener, file)
                with line.start(
                    "simulate", "--n-events", "25", "--rate-hz", "50", "--n-made", "5", "--json"
                ) as sending:
                    exit_code, out, err = sending.finish(60)
                    assert exit_code == 0, err
                exit_code, out, err = writing.finish(60)
        report = json.loads(out)
        assert (exit_code, report["verdict"], report["n_written"]) == (0, "complete", 20), (out, err)
        exit_code, out, err = line.run("status", "--json")
        assert exit_code == 0, (out, err)
        named = {service["instance"] for service in json.loads(out)["services"]}
        assert named >= SERVICES, named
        assert {record.instance for record in read_records(line.config)} >= SERVICES
    assert read_records(line.config) == []
    with MergedFile(file) as merged:
        assert all(event.is_complete for event in merged)
        assert len(merged.numbers) == 20
