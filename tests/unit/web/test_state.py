"""The state of detectors: what is read, kept and judged."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from std_daq.client.scrape import Sample, Scrape
from std_daq.config.paths import make_runtime_dir
from std_daq.config.system import load_any_config
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.reception import OwnReception, PortReception, Reception, reception_path
from std_daq.service.presence import Presence
from std_daq.service.readiness import Readiness
from std_daq.telemetry.logs import configure_logs, get_logger
from std_daq.telemetry.recent_warnings import MAX_WARNINGS, RecentWarnings
from std_test_kit.wait import wait_until
from std_test_kit.web_console import RunningConsole
from std_web.detectors import WatchedDetector
from std_web.state.disk_room import DiskForecast
from std_web.state.findings import judge
from std_web.state.history import History
from std_web.state.module_counts import ModuleWatch
from std_web.state.poller import StatePoller
from std_web.state.reading import StateReader, StateReading


class Ready:
    is_ready = True


@pytest.fixture
def services(detector_file: Path) -> Iterator["Services"]:
    with ExitStack() as stack:
        yield Services(load_any_config(detector_file), stack)


class Services:
    """Endpoints and records of services, each with metrics that a test sets."""

    def __init__(self, config: DetectorConfig, stack: ExitStack) -> None:
        self.config = config
        self._stack = stack
        self.registries: dict[str, CollectorRegistry] = {}
        self.presences: dict[str, Presence] = {}
        make_runtime_dir(config)

    def start(self, instance: str, *, is_ready: bool = True) -> CollectorRegistry:
        registry = self.registries[instance] = CollectorRegistry()
        readiness = Readiness("waiting for the FrameBuffer: is each receiver running?")
        readiness.service = Ready() if is_ready else None
        presence = self.presences[instance] = self._stack.enter_context(Presence(0, readiness))
        presence.appear(self.config, instance, registry, is_only=True)
        return registry


def read(detector_file: Path) -> StateReading:
    return StateReader(WatchedDetector(detector_file, load_any_config(detector_file))).read()


def told(config: DetectorConfig, now: StateReading, before: StateReading | None = None) -> list[str]:
    return [finding.what for finding in judge(config, now, before)]


def test_detector_without_services_says_how_to_start_them(console: RunningConsole) -> None:
    wait_until(lambda: console.get("/api/v1/detectors/small/status").json()["time"] is not None, 10.0)
    status = console.get("/api/v1/detectors/small/status").json()
    assert not status["fine"]
    assert status["summary"] == "not fine: no service of small runs on this machine"
    (finding,) = status["findings"]
    assert finding["level"] == "problem"
    assert finding["what_to_do"].startswith("start them: std-daq up --config")
    assert finding["since"] == pytest.approx(status["time"], abs=30)


def test_service_that_is_absent_or_not_ready_is_named_with_its_reason(services: Services, detector_file: Path) -> None:
    services.start("assembler", is_ready=False)
    reading = read(detector_file)
    names = set(reading.absent)
    assert names
    assert "assembler" not in names
    found = told(services.config, reading)
    assert "assembler is not ready: waiting for the FrameBuffer: is each receiver running?" in found
    assert {f"{name} does not run" for name in names} <= set(found)


def test_all_services_ready_is_fine_and_the_history_grows(services: Services, detector_file: Path) -> None:
    detector = WatchedDetector(detector_file, load_any_config(detector_file))
    for name in StateReader(detector).read().absent:
        services.start(name)
    poller = StatePoller(detector)
    poller.step()
    poller.step()
    assert poller.state.findings == ()
    times, series = poller.history(60)
    assert len(times) == 2
    assert series["services_ready"] == [len(services.registries)] * 2
    assert series["packets_per_s"][0] is None


def test_restarted_service_is_followed_and_its_counters_do_not_go_back(services: Services, detector_file: Path) -> None:
    detector = WatchedDetector(detector_file, load_any_config(detector_file))
    reader = StateReader(detector)
    with ExitStack() as stack:
        first = Services(services.config, stack)
        counter = Counter("daq_udp_packets_lost", "", ["module"], registry=first.start("udp-recv"))
        counter.labels("3").inc(5)
        reader.read()
        counter.labels("3").inc(2)
        assert reader.read().modules[3].recent["lost"] == 2
    assert reader.read().modules[3].total["lost"] == 0
    again = Counter("daq_udp_packets_lost", "", ["module"], registry=services.start("udp-recv"))
    again.labels("3").inc(1)
    reading = reader.read()
    assert reading.modules[3].total["lost"] == 1
    assert reading.modules[3].recent["lost"] <= 3


def test_losses_are_told_by_module_with_what_to_do(services: Services, detector_file: Path) -> None:
    registry = services.start("udp-recv")
    received = Counter("daq_udp_packets_received", "", ["module"], registry=registry)
    lost = Counter("daq_udp_packets_lost", "", ["module"], registry=registry)
    drops = Counter("daq_udp_kernel_drops", "", ["module"], registry=registry)
    ahead = Gauge("daq_udp_frames_ahead", "", ["module"], registry=registry)
    reader = StateReader(WatchedDetector(detector_file, load_any_config(detector_file)))
    for module in range(8):
        received.labels(str(module)).inc(0)
        lost.labels(str(module)).inc(0)
        drops.labels(str(module)).inc(0)
    reader.read()
    received.labels("1").inc(1000)
    lost.labels("1").inc(10)
    drops.labels("2").inc(7)
    ahead.labels("5").set(-3)
    found = {finding.key: finding for finding in judge(services.config, reader.read(), None)}
    assert found["packets lost"].what.startswith("10 packets of module 1 did not come within a minute")
    assert found["kernel drops"].what == (
        "the receive buffer was full: the kernel dropped 7 packets of module 2 within a minute"
    )
    assert found["kernel drops"].what_to_do.endswith("docs/how-to/tune-the-network.md")
    assert found["ahead 5"].what == "module 5 counts 3 frames behind the others"


def test_broker_disk_writers_and_replication_are_judged(services: Services, detector_file: Path) -> None:
    registry = services.start("writer-agent")
    Gauge("daq_broker_connected", "", registry=registry).set(0)
    Gauge("daq_run_images_requested", "", registry=registry)
    Gauge("daq_disk_free_bytes", "", ["root"], registry=registry).labels("/data").set(5e8)
    Gauge("daq_disk_size_bytes", "", ["root"], registry=registry).labels("/data").set(1e12)
    Gauge("daq_replica_sources", "", registry=registry).set(0)
    Gauge("daq_ring_slots", "", registry=registry).set(100)
    Gauge("daq_ring_lag_images", "", ["reader"], registry=registry).labels("h5-writer-0").set(90)
    lost = Counter("daq_writer_images_lost", "", registry=registry)
    reader = StateReader(WatchedDetector(detector_file, load_any_config(detector_file)))
    before = reader.read()
    lost.inc(4)
    found = told(services.config, reader.read(), before)
    assert "the broker is not connected" in found
    assert "/data: 0.50 of 1000.00 GB free; a run must leave 1.0 GB free" in found
    assert "4 images of the run are in no file" in found
    assert "no images come from the other server: none of its senders answers" in found
    assert "h5-writer-0 is 90 of 100 images behind: at the end of the ring it loses some" in found


def test_run_that_waits_while_no_packet_comes_is_told_with_what_to_ask(services: Services, detector_file: Path) -> None:
    now = [1000.0]
    registry = services.start("writer-agent")
    Gauge("daq_run_images_requested", "", registry=registry)
    Gauge("daq_run_state", "", ["state"], registry=registry).labels("waiting").set(1)
    reader = StateReader(WatchedDetector(detector_file, load_any_config(detector_file)), lambda: now[0])
    before = reader.read()
    now[0] += 30
    assert "a run waits for its first image, and no packet comes" in told(services.config, reader.read(), before)


def test_packets_that_were_refused_long_ago_are_no_finding(services: Services, detector_file: Path) -> None:
    now = [1000.0]
    own = OwnReception(reception_path(services.config, "udp-recv"))

    def refuse(n: int) -> None:
        own.write(Reception(ports=(PortReception(udp_port=2000, module=0, received=9, rejected={"late": n}),)))

    reader = StateReader(WatchedDetector(detector_file, load_any_config(detector_file)), lambda: now[0])
    try:
        refuse(3)
        assert reader.read().remarks == ()
        refuse(5)
        (remark,) = reader.read().remarks
        assert remark.startswith("2 packets")
        for _ in range(14):
            now[0] += 5
            remarks = reader.read().remarks
        assert remarks == ()
    finally:
        own.remove()


def test_finding_keeps_its_time_while_it_lasts(services: Services, detector_file: Path) -> None:
    now = [1000.0]
    poller = StatePoller(WatchedDetector(detector_file, load_any_config(detector_file)), clock=lambda: now[0])
    poller.step()
    now[0] += 4
    poller.step()
    assert poller.state.findings[0].since_s == 1000.0
    for name in poller.state.reading.absent if poller.state.reading else ():
        services.start(name)
    now[0] += 4
    poller.step()
    assert poller.state.findings == ()


def test_runtime_directory_of_another_is_told_instead_of_an_old_state(detector_file: Path, runtime: Path) -> None:
    poller = StatePoller(WatchedDetector(detector_file, load_any_config(detector_file)))
    poller.step()
    assert poller.state.reading is not None
    (runtime / "small").mkdir(exist_ok=True)
    (runtime / "small").chmod(0o777)
    poller.step()
    assert poller.state.reading is None or poller.state.findings


def test_ring_tells_how_much_of_the_past_it_holds(detector_file: Path) -> None:
    config = load_any_config(detector_file)
    assert isinstance(config, DetectorConfig)
    ring, _ = ImageBuffer.create(
        image_buffer_path(config), shape=(2016, 2016), dtype=np.dtype("u2"), n_modules=8, buffer_bytes=0, n_slots=4
    )
    try:
        past = read(detector_file).past
        assert past is not None
        assert (past.n_slots, past.n_images, past.seconds, past.newest_id) == (4, 0, None, None)
    finally:
        ring.close()


def test_history_forgets_the_oldest_and_keeps_what_is_unknown_apart() -> None:
    history = History(["a", "b"], 3)
    for time_s in range(5):
        history.add(float(time_s), {"a": time_s * 2.0, "b": None if time_s == 3 else 1.0})
    assert history.since(0) == ([2.0, 3.0, 4.0], {"a": [4.0, 6.0, 8.0], "b": [1.0, None, 1.0]})
    assert history.since(4.0)[0] == [4.0]


def test_disk_lasts_as_long_as_the_writers_let_it() -> None:
    answer = Scrape(True, samples=(Sample("daq_disk_free_bytes", {"root": "/d"}, 6e9),))
    forecast = DiskForecast()
    assert forecast.look(0.0, [answer], None)[0].lasts_s is None
    assert forecast.look(1.0, [answer], 2e8)[0].lasts_s == pytest.approx(60.0)
    assert forecast.look(2.0, [answer], 0.0)[0].lasts_s is None


def test_modules_that_the_configuration_has_are_there_before_anything_came() -> None:
    counts = ModuleWatch().look(0.0, [], 2)
    assert [one.module for one in counts] == [0, 1]
    assert counts[0].total["received"] == 0


def test_process_keeps_its_last_warnings_and_nothing_else() -> None:
    recent = RecentWarnings()
    recent.add(None, "", {"level": "info", "event": "started"})
    for number in range(MAX_WARNINGS + 3):
        recent.add(None, "", {"level": "warning", "event": "ring_overrun", "lag": number, "text": "x" * 5000})
    lines = recent.lines()
    assert len(lines) == MAX_WARNINGS
    assert lines[0]["lag"] == "3"
    assert len(lines[0]["text"]) == 500


def test_warnings_of_all_services_are_shown_the_newest_first(
    services: Services, console: RunningConsole, capsys: pytest.CaptureFixture[str]
) -> None:
    services.start("assembler")
    configure_logs("info", service="assembler")
    get_logger().info("started")
    get_logger().warning("ring_overrun", image_id=7, lag=3)
    get_logger().error("cannot_go_on", error="a reason")
    lines = console.get("/api/v1/detectors/small/warnings?limit=2").json()
    assert [(line["service"], line["level"], line["event"]) for line in lines] == [
        ("assembler", "error", "cannot_go_on"),
        ("assembler", "warning", "ring_overrun"),
    ]
    assert lines[1]["values"] == {"image_id": "7", "lag": "3"}
    assert console.get("/api/v1/detectors/small/warnings?limit=0").status == 422


def test_configuration_is_shown_without_its_secrets(console: RunningConsole) -> None:
    detector = console.console.first
    changed = {"site": {"api_token": "hush", "token_file": "/etc/t", "inner": [{"password": "hush"}]}}
    detector.config = detector.config.model_copy(update={"services": changed})
    answer = console.get("/api/v1/detectors/small/configuration")
    assert b"hush" not in answer.body
    document = answer.json()["configuration"]
    assert document["services"]["site"]["token_file"] == "/etc/t"
    assert document["image_pixel_height"] == 2016
    assert len(answer.json()["config_id"]) == 16


def test_poller_ends_with_the_console_and_leaves_no_thread(console: RunningConsole) -> None:
    assert [thread for thread in threading.enumerate() if thread.name == "state-small"]


def test_history_is_bounded(console: RunningConsole) -> None:
    wait_until(lambda: len(console.get("/api/v1/detectors/small/history").json()["time"]) >= 1, 10.0)
    assert console.get("/api/v1/detectors/small/history?seconds=1e9").status == 422
    document = console.get("/api/v1/detectors/small/history?seconds=60").json()
    assert all(len(values) == len(document["time"]) for values in document["series"].values())
