import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from rich.console import Console

from std_daq.cli.__main__ import main
from std_daq.cli.status_view import StatusView
from std_daq.client.scrape import Scrape, parse_samples, scrape
from std_daq.client.status import FigureValue, StatusReader
from std_daq.config.paths import make_runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.reception import OwnReception, PortReception, Reception, reception_path
from std_daq.service.description import Figure, ServiceDescription
from std_daq.service.presence import Presence
from std_daq.service.readiness import Readiness
from std_daq.service.record import OwnRecord, endpoint_socket
from std_daq.telemetry.metrics import make_registry
from std_daq.tpc.config import TpcConfig
from std_test_kit.event_results import chamber_document

RECEIVER = """
daq_udp_packets_received_total{{module="0"}} {received}
daq_udp_packets_received_total{{module="1"}} {received}
daq_udp_packets_lost_total{{module="0"}} 3
daq_udp_packets_rejected_total{{module="0",reason="late"}} 2
daq_udp_packets_rejected_total{{module="1",reason="late"}} 5
daq_udp_packets_rejected_total{{module="1",reason="foreign"}} 0
daq_udp_kernel_drops_total{{module="0"}} 4
daq_ring_slots 40
"""
ASSEMBLER = """
daq_ring_slots 100
daq_ring_lag_images{reader="assembler"} 4
"""
AGENT = """
daq_run_state{state="idle"} 0
daq_run_state{state="running"} 1
daq_run_images_requested 1000
daq_run_request{request_id="2c5e",output_file="/data/a.h5"} 1
daq_run_images_written 600
daq_run_images_lost 2
daq_requests_total{verdict="complete"} 3
daq_requests_total{verdict="failed"} 0
"""
WRITER = """
daq_ring_lag_images{reader="h5-writer-0"} 25
daq_writer_state{state="idle"} 0
daq_writer_state{state="writing"} 1
daq_writer_written_bytes_total 1e9
"""

SENDER = """
daq_replication_images_sent_total 500
daq_replication_images_lost_total 7
daq_replication_lag_images{receiver="far"} 12
daq_replication_sessions_total 3
"""
STREAM_RECEIVER = """
daq_replica_lag_images 12
daq_replica_sources 2
daq_replica_sessions_total 2
"""


@pytest.fixture
def config_file(tmp_path: Path, runtime: Path) -> Path:
    path = tmp_path / "detector.json"
    document = {
        "detector_name": "det",
        "detector_type": "eiger",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 256,
        "image_pixel_width": 514,
        "start_udp_port": 50000,
        "module_positions": {},
    }
    path.write_text(json.dumps(document))
    (runtime / "det").mkdir()
    return path


@pytest.fixture
def config(config_file: Path) -> DetectorConfig:
    return load_config(config_file)


class FakeServices:
    """Answers of services by instance name, and a clock."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.now = 1000.0

    def ask(self, socket: Path) -> Scrape:
        if socket.stem not in self.texts:
            return Scrape(is_answering=False)
        return Scrape(True, True, "", tuple(parse_samples(self.texts[socket.stem])))


@pytest.fixture
def services(config: DetectorConfig) -> Iterator[FakeServices]:
    fake = FakeServices()
    fake.texts = {
        "udp-recv": RECEIVER.format(received=100),
        "h5-writer-0": WRITER,
        "assembler": ASSEMBLER,
        "writer-agent": AGENT,
    }
    endpoint_socket(config, "any")
    records = [OwnRecord(config, instance, f"http://{instance}") for instance in fake.texts]
    yield fake
    for record in records:
        record.remove()


def reader(config: DetectorConfig, services: FakeServices) -> StatusReader:
    return StatusReader(config, services.ask, lambda: services.now)


def test_numbers_of_all_services_are_put_together(config: DetectorConfig, services: FakeServices) -> None:
    status = reader(config, services).read()
    assert status.is_ready
    assert [service.instance for service in status.services] == ["assembler", "h5-writer-0", "udp-recv", "writer-agent"]
    assert (status.packets.received, status.packets.lost, status.packets.kernel_drops) == (200, 3, 4)
    assert status.packets.rejected == {"late": 7}
    assert status.writing.states == {"h5-writer-0": "writing", "writer-agent": "running"}


def test_readers_are_behind_in_their_own_rings(config: DetectorConfig, services: FakeServices) -> None:
    frames, images = reader(config, services).read().rings
    assert (frames.kind, frames.slots, frames.lag, frames.occupancy) == ("frames", 40, {"assembler": 4}, 0.1)
    assert (images.kind, images.slots, images.lag, images.occupancy) == ("images", 100, {"h5-writer-0": 25}, 0.25)


def test_the_ring_of_a_chamber_holds_events(tmp_path: Path, runtime: Path, services: FakeServices) -> None:
    chamber = TpcConfig.model_validate(chamber_document(tmp_path) | {"detector_name": "det"})
    services.texts = {"h5-writer-0": WRITER, "assembler": "daq_ring_slots 100\n"}
    status = StatusReader(chamber, services.ask, lambda: services.now).read()
    assert [ring.kind for ring in status.rings] == ["events"]
    console = Console(record=True, width=150)
    console.print(StatusView(status))
    text = console.export_text()
    assert "h5-writer-0 is behind" in text
    assert "of 100 events" in text
    assert "image" not in text


def test_run_is_shown_with_its_progress(config: DetectorConfig, services: FakeServices) -> None:
    status = reader(config, services).read()
    assert (status.run.request_id, status.run.output_file) == ("2c5e", "/data/a.h5")
    assert (status.run.state, status.run.n_written, status.run.n_requested, status.run.n_lost) == (
        "running", 600, 1000, 2
    )  # fmt: skip
    assert status.run.ended == {"complete": 3}
    console = Console(record=True, width=150)
    console.print(StatusView(status))
    text = console.export_text()
    assert "run: running" in text
    assert "request  2c5e" in text
    assert "file     /data/a.h5" in text
    assert "of 1000" in text
    assert "25" in text


def test_what_is_wrong_with_the_packets_is_told_in_words(config: DetectorConfig, services: FakeServices) -> None:
    make_runtime_dir(config)
    port = PortReception(udp_port=50000, module=0, received=9, rejected={"foreign_version": 9})
    own = OwnReception(reception_path(config, "udp-recv"))
    own.write(Reception(ports=(port,)))
    status = reader(config, services).read()
    own.remove()
    assert reader(config, services).read().packets.remarks == ()
    assert status.packets.remarks == ("9 packets came on UDP port 50000 (module 0) of another header version",)
    console = Console(record=True, width=150)
    console.print(StatusView(status))
    assert status.packets.remarks[0] in console.export_text()
    assert status.to_json()["packets"]["remarks"] == status.packets.remarks


def test_rates_are_those_since_the_last_reading(config: DetectorConfig, services: FakeServices) -> None:
    status_reader = reader(config, services)
    assert status_reader.read().packets.received_per_s is None
    services.now += 2
    services.texts["udp-recv"] = RECEIVER.format(received=150)
    assert status_reader.read().packets.received_per_s == pytest.approx(50)


def test_rate_of_a_restarted_service_counts_from_zero(config: DetectorConfig, services: FakeServices) -> None:
    status_reader = reader(config, services)
    status_reader.read()
    services.now += 2
    services.texts["udp-recv"] = RECEIVER.format(received=10)
    assert status_reader.read().packets.received_per_s == pytest.approx(10)


def test_figures_are_those_that_the_description_of_the_service_names(
    config: DetectorConfig, services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = ServiceDescription(
        name="counting",
        package="std_counting",
        summary="Counts.",
        config=PlatformConfig,
        instances=lambda config: [],
        figures=(Figure("events", "daq_events_total"), Figure("waiting", "daq_events_waiting")),
    )
    monkeypatch.setattr("std_daq.client.status.service_descriptions", lambda: [description])
    text = 'daq_build_info{{service="counting",version="1"}} 1\ndaq_events_total {n}\ndaq_events_waiting 3\n'
    status_reader = reader(config, services)

    def read(n: int) -> dict[str, FigureValue]:
        services.texts["udp-recv"] = text.format(n=n)
        found = {service.instance: service.figures for service in status_reader.read().services}
        assert found["assembler"] == {}, "another service shows none"
        return found["udp-recv"]

    assert read(10) == {"events": FigureValue(10, None), "waiting": FigureValue(3, None)}
    services.now += 2
    assert read(30)["events"] == FigureValue(30, pytest.approx(10))
    services.now += 2
    assert read(8)["events"] == FigureValue(8, pytest.approx(4)), "a service that was started again counts from 0"


def test_service_that_does_not_answer_is_shown_as_such(config: DetectorConfig, services: FakeServices) -> None:
    del services.texts["h5-writer-0"]
    status = reader(config, services).read()
    assert not status.is_ready
    assert [service.is_answering for service in status.services] == [True, False, True, True]


def test_without_services_nothing_is_ready(config: DetectorConfig) -> None:
    assert not StatusReader(config).read().is_ready


@pytest.mark.parametrize("text", ["{", "a b c d e", "\x00"])
def test_garbage_from_an_endpoint_is_a_service_that_does_not_answer(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser says
        list(parse_samples(text))


class Ready:
    is_ready = True


@pytest.fixture
def presence(config: DetectorConfig) -> Iterator[Presence]:
    registry: CollectorRegistry = make_registry("assembler")
    Counter("daq_images", "Images.", ["status"], registry=registry).labels("good").inc(7)
    Gauge("daq_ring_slots", "Slots.", registry=registry).set(10)
    with Presence(0, Readiness()) as presence:
        presence.appear(config, "assembler", registry, is_only=True)
        presence.readiness.service = Ready()
        yield presence


def test_real_endpoint_is_read(config: DetectorConfig, presence: Presence) -> None:
    answer = scrape(endpoint_socket(config, "assembler"))
    assert answer.is_ready
    assert answer.by_label("daq_images_total", "status") == {"good": 7}


def test_reason_of_a_service_that_is_not_ready_is_told(config: DetectorConfig, presence: Presence) -> None:
    presence.readiness.end()
    (service,) = StatusReader(config).read().services
    assert (service.is_answering, service.is_ready, service.reason) == (True, False, "it is ending")
    console = Console(record=True, width=150)
    console.print(StatusView(StatusReader(config).read()))
    assert re.search(r"assembler +not ready .* it is ending", console.export_text())


def test_endpoint_that_is_gone_does_not_answer(runtime: Path) -> None:
    assert not scrape(runtime / "gone.sock").is_answering


def run_status(config_file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    exit_code = main(["status", "--config", str(config_file), "--period", "0.05", *more])
    return exit_code, capsys.readouterr().out


def test_status_is_one_document(config_file: Path, presence: Presence, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, output = run_status(config_file, capsys, "--json")
    document: dict[str, Any] = json.loads(output)
    assert exit_code == 0
    assert document["is_ready"]
    assert document["images"]["by_status"] == {"good": 7}
    assert document["images"]["per_s"] == 0


def test_status_is_shown_once_where_there_is_no_terminal(
    config_file: Path, presence: Presence, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, output = run_status(config_file, capsys)
    assert exit_code == 0
    assert "assembler" in output
    assert "ready" in output


def test_status_of_nothing_ends_with_1(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, output = run_status(config_file, capsys)
    assert exit_code == 1
    assert "no service" in output


def test_receivers_on_other_servers_are_shown_with_what_waits_for_them(
    config: DetectorConfig, services: FakeServices
) -> None:
    services.texts["assembler"] = SENDER
    status = reader(config, services).read()
    assert (status.replication.sent, status.replication.lost, status.replication.lag) == (500, 7, {"far": 12})
    assert status.replication.n_sources is None
    console = Console(record=True, width=150)
    console.print(StatusView(status))
    assert "far is 12 behind lost 7" in console.export_text()


def test_sources_on_another_server_are_shown(config: DetectorConfig, services: FakeServices) -> None:
    services.texts["assembler"] = STREAM_RECEIVER
    status = reader(config, services).read()
    assert (status.replication.n_sources, status.replication.n_sessions) == (2, 2)
    console = Console(record=True, width=150)
    console.print(StatusView(status))
    assert "2 sources" in console.export_text()
