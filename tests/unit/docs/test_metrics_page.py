"""The page of metrics, the rules for alerts and the services' pages name the metrics that there are."""

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest, start_http_server

from std_assembler.metrics import AssemblerMetrics
from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.replication import Hello, Point, Share, Start
from std_daq.sync.synchroniser import SynchroniserCounters
from std_daq.telemetry.grafana.dashboard import make_dashboard
from std_daq.telemetry.metrics import make_registry
from std_daq.telescope.boards.packets import board_layout
from std_daq.telescope.pff import PRODUCTS
from std_daq.tpc.building.board_frame import BoardFrame
from std_daq.tpc.building.event_builder import EventBuilder
from std_daq.tpc.frames.encode import encode_topology
from std_daq.tpc.frames.frame import Frame, parse_frame
from std_daq.tpc.frames.records import Fault
from std_daq.tpc.frames.splitter import StreamCounts
from std_event_analysis.metrics import AnalysisMetrics
from std_event_builder.metrics import BuilderCollector
from std_event_builder.publisher_metrics import PublisherMetrics
from std_event_view.metrics import EventViewMetrics
from std_h5_writer.metrics import WriterMetrics
from std_live_stream.metrics import LiveStreamMetrics
from std_live_view.metrics import LiveViewMetrics
from std_sim_router.metrics import RouterMetrics
from std_sim_worker.metrics import WorkerMetrics
from std_stream_recv.metrics import ReceiverMetrics
from std_stream_send.metrics import SenderMetrics
from std_stream_send.session import Session
from std_test_kit.metric_pages import CATALOGUE, catalogue_text
from std_test_kit.prometheus import PrometheusServer, queries_of
from std_test_kit.wait import wait_until
from std_ublox_control.metrics import UbloxControlMetrics
from std_udp_recv.board_grouper import BoardGrouper
from std_udp_recv.board_metrics import BoardCollector
from std_udp_recv.metrics import ReceiverCollector
from std_web.metrics import WebMetrics
from std_writer_agent.disk_watch import DiskWatch
from std_writer_agent.metrics import AgentMetrics

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"^\| `(daq_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
LAYOUT = board_layout(PRODUCTS["ph256"], coincidence_ns=100)

# Services whose metrics need the registry alone.
OF_THE_REGISTRY: dict[str, Callable[[CollectorRegistry], object]] = {
    "event_analysis": AnalysisMetrics,
    "event_view": EventViewMetrics,
    "sim_router": RouterMetrics,
    "sim_worker": WorkerMetrics,
    "web": WebMetrics,
}


class IdleAnnouncer:
    n_waiting = 0
    counters = SynchroniserCounters([], [], [], [])

    def n_unused(self) -> dict[int, int]:
        return {0: 0}

    def n_out_of_step(self) -> dict[int, int]:
        return {0: 0}

    def n_renumbered(self) -> dict[int, int]:
        return {0: 0}

    def frames_ahead(self) -> dict[int, int]:
        return {0: 0}


class IdlePort:
    socket = SimpleNamespace(port=60001)
    n_received = n_passed_on = kernel_drops = granted_bytes = 0


class IdleExporter:
    address = "127.0.0.1:46491"
    is_connected = False
    n_bytes = n_connections = n_lost = 0
    counts = StreamCounts(0, 0, 0, 0, {Fault.TOO_LONG: 1})


class IdleChannel:
    is_gone = False

    def send(self, message: bytes) -> bool:
        return True

    def send_in_place(self, memory: memoryview) -> None:
        return None


def no_ring() -> ImageBuffer:
    raise SharedMemoryError("there is none")


def register_event_builder(registry: CollectorRegistry) -> None:
    builder: EventBuilder[Frame] = EventBuilder(1, [(0, 0), (0, 1)], time_limit_ns=1, max_held_bytes=1)
    builder.feed(BoardFrame(0, (0, 0), 0, 0, parse_frame(encode_topology(0)), 0, 0))  # type: ignore[arg-type]
    builder.flush()
    PublisherMetrics(registry)
    publisher = SimpleNamespace(n_waiting=0, item_counts={"sample": 0})
    BuilderCollector(registry, builder, SimpleNamespace(all=[IdleExporter]), publisher)  # type: ignore[arg-type]


def register(service: str, registry: CollectorRegistry) -> None:
    if service == "udp_recv":
        ReceiverCollector(registry, [], IdleAnnouncer(), n_slots=8)  # type: ignore[arg-type]
        grouper = BoardGrouper(LAYOUT, frozenset({0}), window=4, idle_ns=0)
        grouper.counters[1, 0].received = 1
        grouper.refused["late"] = 1
        BoardCollector(registry, IdlePort(), grouper, n_slots=8)  # type: ignore[arg-type]
    elif service == "event_builder":
        register_event_builder(registry)
    elif service == "assembler":
        AssemblerMetrics(registry)
    elif service == "writer_agent":
        AgentMetrics(registry)
        DiskWatch(registry, ["/"]).close()
    elif service == "live_stream":
        metrics = LiveStreamMetrics(registry)
        for metric in (metrics.sent, metrics.viewers):
            metric.labels("tcp://127.0.0.1:20000")
    elif service == "live_view":
        live = LiveViewMetrics(registry)
        live.age.labels("1", "ph256")
        live.left_out.labels("interval")
    elif service == "ublox_control":
        receiver = UbloxControlMetrics(registry)
        receiver.messages.labels("TIM-TP")
        receiver.skipped.labels("nmea")
    elif service in OF_THE_REGISTRY:
        OF_THE_REGISTRY[service](registry)
    elif service == "stream_recv":
        ReceiverMetrics(registry)
    elif service == "stream_send":
        hello = Hello("EG", "far", Share(), Point(), Start.NOW, credit=1)
        SenderMetrics(registry, "stream-send-0").show([Session(hello, IdleChannel(), no_ring)])
    else:
        WriterMetrics(registry, "h5-writer-0")


def families(service: str) -> dict[str, Metric]:
    """Return the metrics of a service by the names under which they are read."""
    registry = CollectorRegistry()
    register(service, registry)
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family for family in registry.collect()
    }


def table(page: Path, heading: str = "Metrics") -> dict[str, tuple[str, set[str]]]:
    """Return type and labels of the metrics in a section of a page."""
    section = page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(section)}


SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/README.md"))


@pytest.mark.parametrize("service", SERVICES)
def test_page_of_a_service_has_its_metrics_with_their_types_and_labels(service: str) -> None:
    described, real = table(page_of(service)), families(service)
    assert set(described) == set(real)
    for name, family in real.items():
        kind, labels = described[name]
        assert kind == family.type, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, name


def page_of(service: str) -> Path:
    return ROOT / "services" / service / "README.md"


def test_alerts_use_metrics_that_there_are() -> None:
    known = set(table(PAGE, "All services")).union(*(table(page_of(service)) for service in SERVICES))
    used = set(re.findall(r"\bdaq_\w+", (ROOT / "std_daq" / "telemetry" / "alerts.yml").read_text()))
    assert used <= known
    assert used


def test_a_metric_has_one_meaning_whichever_service_shows_it() -> None:
    rows: dict[str, set[str]] = {}
    for service in SERVICES:
        for row in re.findall(r"^\| `daq_.*$", page_of(service).read_text(), re.MULTILINE):
            rows.setdefault(row.split("`")[1], set()).add(row)
    assert [name for name, different in rows.items() if len(different) > 1] == []
    assert rows


def test_every_registry_tells_the_build() -> None:
    assert "daq_build_info" in {f"{family.name}_info" for family in make_registry("x").collect()}


def test_no_series_tells_when_a_counter_was_created() -> None:
    registry = make_registry("assembler")
    AssemblerMetrics(registry).ring.show(1, 2)
    text = generate_latest(registry).decode()
    assert "daq_ring_lag_ratio" in text
    assert "_created" not in text


def test_catalogue_of_the_package_is_what_the_pages_say() -> None:
    """Otherwise: python -m std_test_kit.metric_pages."""
    assert CATALOGUE.read_text() == catalogue_text()


@pytest.mark.long
def test_dashboard_asks_for_what_services_show(tmp_path: Path) -> None:
    """Metrics whose labels have no value yet are left out; tests/pipeline/test_grafana.py asks services that run."""
    rows = re.compile("Telescope|Photon simulation|Chamber|Replication|Writing|More of")
    with ExitStack() as stack:
        targets, silent = [], {"daq_run_request"}
        for service in SERVICES:
            registry = make_registry(service)
            register(service, registry)
            silent |= {name for name, family in families(service).items() if not family.samples}
            server, thread = start_http_server(0, "127.0.0.1", registry)
            for act in (thread.join, server.server_close, server.shutdown):
                stack.callback(act)
            labels = {"detector": "EG", "service": service.replace("_", "-")}
            targets.append({"targets": [f"127.0.0.1:{server.server_port}"], "labels": labels})
        (tmp_path / "targets.json").write_text(json.dumps(targets))
        scrape = "{job_name: std-daq, scrape_interval: 1s, file_sd_configs: [{files: [targets.json]}]}"
        (tmp_path / "prometheus.yml").write_text(f"scrape_configs: [{scrape}]\n")
        prometheus = stack.enter_context(PrometheusServer(tmp_path))
        left = {
            name: query
            for name, query in queries_of(make_dashboard("x"), "10s")
            if rows.match(name) and silent.isdisjoint(re.findall(r"\bdaq_\w+", query))
        }
        assert len(left) > 100

        def ask() -> bool:
            for name in [name for name, query in left.items() if prometheus.query(query)]:
                del left[name]
            return not left

        wait_until(ask, 30, lambda: f"no series: {left}")
