"""The dashboard of Grafana: its queries, asked of a real Prometheus that watches two detectors on two servers."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from std_daq.cli.__main__ import main
from std_test_kit.beamline import Beamline
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.prometheus import PrometheusServer, queries_of
from std_test_kit.wait import wait_until

INSTANCES = ("assembler", "h5-writer-0", "live-stream", "stream-recv", "stream-send-0", "udp-recv", "writer-agent")
# Queries without a series in this test, by the beginning of row and panel, with the reason.
WITHOUT_SERIES = {
    "Broker: Takes no messages": "the broker takes messages",
    "More of assembler: daq_image_modules_out_of_step_total": "all modules are in step",
    "More of udp-recv: daq_board_": "no detector is a telescope",
    "More of writer-agent: daq_run_request": "the runs have ended",
    "Telescope: ": "no detector is a telescope",
}
DEPENDS = "Disk: Full in"  # on what else fills the disk
N_IMAGES, RATE_HZ = "40", "40"

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


@pytest.fixture
def detectors(
    beamline_config: Callable[..., dict[str, Any]], broker_url: str, tmp_path: Path, shm_dir: Path, runtime: Path
) -> Iterator[dict[str, Beamline]]:
    """A JUNGFRAU whose images go to another server, the services there, and an EIGER."""
    address = f"tcp://127.0.0.1:{free_tcp_port()}"
    viewed = {f"tcp://127.0.0.1:{free_tcp_port()}": {"type": "periodic", "config": [1, 10]}}
    (shm_dir / "far").mkdir()
    there = {"runtime_dir": str(runtime / "far"), "shared_memory": {"directory": str(shm_dir / "far")}}
    configs: dict[str, tuple[str, dict[str, Any]]] = {
        "near": ("jungfrau", {"replication": {"send": [{"address": address}]}, "live_stream_configs": viewed}),
        "far": ("jungfrau", {"replication": {"receive": {"sources": [address]}}, **there}),
        "eiger": ("eiger", {}),
    }
    with ExitStack() as stack:
        beamlines = {}
        for name, (kind, more) in configs.items():
            document = beamline_config(kind, **more)
            document["detector_name"] = "grafana-eg" if name == "eiger" else "grafana-jf"
            document["broker"] = {"tag": f"grafana-{name}"}
            document["metrics"] = {"ports": {instance: free_tcp_port() for instance in INSTANCES}}
            beamlines[name] = stack.enter_context(Beamline(tmp_path, broker_url, document, f"{name}.json"))
        yield beamlines


def test_every_query_has_series_of_the_detectors_that_are_chosen(
    detectors: dict[str, Beamline], tmp_path: Path
) -> None:
    configs = [str(beamline.config_file) for beamline in detectors.values()]
    assert main(["prometheus", "--config", *configs, "--output", str(tmp_path / "prometheus")]) == 0
    assert main(["grafana", "--config", *configs, "--output", str(tmp_path / "dashboard.json")]) == 0
    dashboard = json.loads((tmp_path / "dashboard.json").read_text())
    send = ["simulate", "--n-images", N_IMAGES, "--rate-hz", RATE_HZ]
    more = ["simulate", "--n-images", "2000", "--rate-hz", "20"]
    with PrometheusServer(tmp_path / "prometheus") as prometheus:
        with detectors["far"].write(tmp_path / "far.h5", "--n-images", N_IMAGES) as writing:
            for name in ("near", "eiger"):
                detectors[name].record(tmp_path / f"{name}.h5", ["--n-images", N_IMAGES], send)
            assert writing.finish()[0] == 0
        with detectors["near"].start(*more), detectors["eiger"].start(*more):
            for detector, of_it in (("grafana-(jf|eg)", {"grafana-jf", "grafana-eg"}), ("grafana-jf", {"grafana-jf"})):
                queries = dict(queries_of(dashboard, "10s", detector=detector, server="127.0.0.1"))
                left: dict[str, str] = dict(queries)
                wait_until(lambda: not ask_all(prometheus, left), 40, lambda: f"no series: {left}")  # noqa: B023
                found = {
                    series["metric"]["detector"] for query in queries.values() for series in prometheus.query(query)
                }
                assert found == of_it
        assert all(not prometheus.query(query) for _, query in queries_of(dashboard, "10s", server="10.0.0.1"))
        assert set(prometheus.label_values("detector", "daq_ready")) == {"grafana-jf", "grafana-eg"}


def ask_all(prometheus: PrometheusServer, left: dict[str, str]) -> dict[str, str]:
    """Take the queries away that have a series; returns those without, but for the expected ones."""
    for name, query in list(left.items()):
        if name.startswith(DEPENDS) or prometheus.query(query):
            assert not is_expected_empty(name), f"{name} has series: it is no exception"
            del left[name]
    return {name: query for name, query in left.items() if not is_expected_empty(name)}


def is_expected_empty(name: str) -> bool:
    return any(name.startswith(beginning) for beginning in WITHOUT_SERIES)
