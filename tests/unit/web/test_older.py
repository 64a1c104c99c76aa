"""The older interface without its services: answers, configuration, runs, pictures."""

import asyncio
import io
import json
import queue
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from std_daq.config.system import load_any_config
from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict
from std_test_kit.small_disk import SmallDisk, can_mount
from std_test_kit.wait import wait_until
from std_test_kit.web_console import TOKEN, RunningConsole, running_console
from std_web.detectors import WatchedDetector
from std_web.guard import WebAccess
from std_web.older import pictures
from std_web.older.acquisition import OlderRun
from std_web.older.acquisitions import AcquisitionBook
from std_web.older.config_file import ConfigFile, _merged
from std_web.older.rollout import Rollout
from std_web.older.simulation import SimulatorProcess
from std_web.runs.desk import RunDesk
from std_web.state.poller import StatePoller

ID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def open_console(detector_file: Path) -> Iterator[RunningConsole]:
    with running_console(detector_file, access=WebAccess(None)) as running:
        yield running


@pytest.fixture
def detector(detector_file: Path) -> WatchedDetector:
    return WatchedDetector(detector_file, load_any_config(detector_file))


def status(action: Action, report: RunReport | None = None, **details: int) -> StatusMessage:
    return StatusMessage(request_id=ID, action=action, source="small", report=report, details=details)


def test_every_error_has_http_200_and_a_message(open_console: RunningConsole) -> None:
    for method, path, body in (
        ("POST", "/writer/write_async", {}),
        ("POST", "/writer/write_async", b"not json"),
        ("POST", "/writer/write_async", b"[1]"),
        ("POST", "/writer/write_async", b"[" * 100_000),
        ("POST", "/writer/write_async", {"n_images": True, "output_file": "/a"}),
        ("POST", "/writer/write_async", {"n_images": 1, "output_file": "a"}),
        ("POST", "/writer/write_async", {"n_images": 10**30, "output_file": "/a"}),
        ("POST", "/writer/write_async", {"n_images": 1, "output_file": "/a", "run_id": [1]}),
        ("POST", "/writer/write_async", {"n_images": 1, "output_file": "/a", "run_id": "\ud800"}),
        ("POST", "/writer/write_async", {"n_images": 1, "output_file": "\ud800"}),
        ("POST", "/writer/write_async", {"n_images": "\ud800", "output_file": "/a"}),
        ("POST", "/writer/write_async", b'{"n_images": NaN, "output_file": "/a"}'),
        ("POST", "/writer/write_async", b'{"n_images": 1, "output_file": "/\xff"}'),
        ("POST", "/daq/config", {"\ud800": 1}),
        ("POST", "/writer/write_sync", {"n_images": 1, "output_file": "/a"}),  # no broker
        ("POST", "/daq/config", {"n_modules": "8"}),
        ("GET", "/daq/logs/0", None),
        ("GET", "/daq/logs/x", None),
        ("GET", "/daq/logs/000000001" + "9" * 5000, None),
        ("GET", "/file/none", None),
        ("GET", "/file/none/1", None),
        ("GET", "/file/live/0", None),
        ("GET", "/file/live/x", None),
    ):
        answer = open_console.ask(method, path, body)
        assert answer.status == 200, path
        assert answer.json()["status"] == "error", path
        assert answer.json()["message"], path


def test_reading_needs_no_token_and_changing_does(console: RunningConsole) -> None:
    assert console.get("/writer/status").json()["writer"] == {"state": "UNKNOWN", "acquisition": None}
    assert console.get("/daq/stats").json()["stats"]["writer"] == {"bytes_per_second": 0.0, "images_per_second": 0.0}
    before = console.console.first.file.read_bytes()
    for path in ("/writer/write_async", "/writer/stop", "/daq/config", "/simulation/start", "/simulation/stop"):
        for answer in (console.ask("POST", path, {"log_level": "error"}), console.ask("POST", path, {}, token="x")):
            assert answer.json()["message"].startswith("Token needed")
    assert console.console.first.file.read_bytes() == before
    assert console.ask("POST", "/simulation/stop", {}, token=TOKEN).json()["status"] == "ok"


def test_each_detector_has_the_interface_below_its_name(open_console: RunningConsole) -> None:
    assert open_console.get("/older/small/daq/config").json()["config"]["detector_name"] == "small"
    assert open_console.get("/older/other/daq/config").status == 404


def test_wrong_change_leaves_the_file_and_the_right_one_keeps_the_version_before(
    detector: WatchedDetector,
) -> None:
    file = ConfigFile(detector)
    before = detector.file.read_bytes()
    detector.file.chmod(0o640)
    for changes, message in (
        ({"bit_dept": 1}, "did you mean 'bit_depth'"),
        ({"bit_depth": "16"}, "a whole number"),
        ({"detector_name": "other"}, "the name cannot be changed"),
        ({"n_modules": None}, "required key is missing"),
        ({"module_positions": {"9": [0, 0, 1, 1]}}, "module 9"),
        ({"services": {"nothing": {}}}, "no installed service"),
    ):
        with pytest.raises(ConfigError, match=message):
            file.change(changes)
        assert detector.file.read_bytes() == before
    assert not (detector.file.parent / "versions").exists()

    changed = file.change({"ram_buffer_gb": 0.5, "writer_user_id": 0})
    assert isinstance(changed, DetectorConfig)
    assert (changed.ram_buffer_gb, changed.writer_user_id) == (0.5, None)
    assert stat.S_IMODE(detector.file.stat().st_mode) == 0o640
    file.change({"ram_buffer_gb": 0.6})
    versions = sorted((detector.file.parent / "versions").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert versions[0].read_bytes() == before
    assert len(versions) == 2
    file.change({"ram_buffer_gb": 0.6})  # changes nothing
    assert len(list((detector.file.parent / "versions").iterdir())) == 2


def test_change_for_which_the_disk_has_no_room_leaves_the_file_as_it_was(
    detector: WatchedDetector, tmp_path: Path
) -> None:
    if not can_mount(tmp_path):
        pytest.skip("this user may not mount")
    disk = SmallDisk.in_memory(tmp_path / "disk", 1 << 16)
    try:
        file = disk.folder / "detector.json"
        file.write_bytes(before := detector.file.read_bytes())
        disk.fill()
        with pytest.raises(OSError, match="No space"):
            ConfigFile(WatchedDetector(file, detector.config)).change({"ram_buffer_gb": 0.5})
        assert file.read_bytes() == before
        assert list(disk.folder.glob("versions/*")) == []
    finally:
        disk.close()


def test_secret_that_was_hidden_from_the_client_stays(detector: WatchedDetector) -> None:
    document = json.loads(detector.file.read_text())
    document["services"] = {"web": {"port": 0}}
    detector.file.write_text(json.dumps(document))
    file = ConfigFile(detector)
    config = file.change({"services": {"web": {"port": "..."}}})
    assert config.services == {"web": {"port": 0}}


def test_secret_in_a_list_that_was_hidden_from_the_client_stays() -> None:
    before = {"senders": [{"name": "a", "token": "one"}, {"name": "b", "token": "two"}]}
    changes = {"senders": [{"name": "c", "token": "..."}, {"name": "b", "token": "new"}, {"name": "d"}]}
    assert _merged(before, changes) == {
        "senders": [{"name": "c", "token": "one"}, {"name": "b", "token": "new"}, {"name": "d"}]
    }


def test_rollout_waits_for_each_service_and_gives_up_in_words(detector: WatchedDetector) -> None:
    now = [0.0]
    poller = StatePoller(detector)
    rollout = Rollout(detector, poller, clock=lambda: now[0])
    assert rollout.document()["status"] == "UNKNOWN"
    rollout.begin()
    poller.step()
    started = rollout.document()
    assert started["status"] == "RUNNING"
    assert set(started["servers"].values()) == {"it does not run"}
    now[0] = started["stats"]["start_time"] + 1000
    ended = rollout.document()
    assert ended["status"] == "ERROR"
    assert ended["message"].endswith("it does not run")


def test_acquisition_follows_the_statuses_of_its_request() -> None:
    run = OlderRun(ID, 5, "/data/a.h5", 10)
    run.apply(status(Action.ACCEPTED), 1.0)
    assert (run.state, run.is_accepted) == ("WAITING_IMAGES", True)
    run.apply(status(Action.START), 2.0)
    assert (run.state, run.start_s) == ("ACQUIRING_IMAGES", 2.0)
    run.apply(status(Action.PROGRESS, n_sent=5, n_written=4), 3.0)
    assert (run.state, run.n_requested, run.n_completed) == ("WRITING", 5, 4)
    run.apply(status(Action.PROGRESS, n_sent=10, n_written=9), 3.0)
    assert run.state == "FLUSHING_IMAGES"
    report = RunReport(
        request_id=ID,
        verdict=Verdict.INCOMPLETE,
        reason="image 7 is lost",
        n_written=9,
        n_lost=1,
        lost_image_ids=(7,),
        files=("/data/a_1.h5",),
        ended_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    run.apply(status(Action.FAIL, report), 4.0)
    told = run.to_json()
    assert (told["state"], told["message"]) == ("FINISHED", "ERROR:image 7 is lost")
    assert told["info"]["output_file"] == "/data/a_1.h5"
    run.apply(status(Action.PROGRESS, n_sent=99), 5.0)  # comes too late
    assert run.n_requested == 10
    assert OlderRun.from_record(json.loads(json.dumps(run.to_record()))) == run


def test_state_of_the_simulation_is_told_while_it_ends(detector: WatchedDetector) -> None:
    simulation = SimulatorProcess(detector.file, "", 1.0)
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    asking = threading.Thread(target=lambda: told.put(simulation.document()["status"]), daemon=True)
    with simulation._lock:  # as long as the process takes to end
        asking.start()
        assert told.get(timeout=10.0) == "READY"
    asking.join()


def test_run_keeps_few_of_a_million_ids() -> None:
    run = OlderRun(ID, 5, "/data/a.h5", 10)
    ids = tuple(range(1, 10_001))
    report = RunReport(
        request_id=ID,
        verdict=Verdict.INCOMPLETE,
        lost_image_ids=ids,
        incomplete_image_ids=ids,
        incomplete_image_ids_truncated=7,
    )
    run.apply(status(Action.FAIL, report), 1.0)
    assert run.report is not None
    assert run.report["lost_image_ids"] == run.report["incomplete_image_ids"] == list(range(1, 1001))
    assert run.report["lost_image_ids_truncated"] == 9000
    assert run.report["incomplete_image_ids_truncated"] == 9007


def test_requests_go_to_the_writer_agent_of_a_changed_tag(detector: WatchedDetector, runtime: Path) -> None:
    (runtime / "small").mkdir(mode=0o770)
    document = json.loads(detector.file.read_text()) | {"broker": {"url": "amqp://127.0.0.1:1"}}
    before, after = (
        DetectorConfig.model_validate(document | {"broker": {**document["broker"], "tag": tag}}) for tag in ("a", "b")
    )
    detector.replace_config(before)
    desk = RunDesk(detector)

    def sends_to(tag: str) -> bool:
        publisher = desk._link._publisher
        return publisher is not None and publisher._tag == tag

    async def change() -> None:
        async with desk:
            await asyncio.to_thread(wait_until, lambda: sends_to("a"), 10.0)
            detector.replace_config(after)
            await asyncio.to_thread(wait_until, lambda: sends_to("b"), 10.0)

    asyncio.run(change())


def test_run_whose_end_was_not_heard_does_not_block_the_next(detector: WatchedDetector, runtime: Path) -> None:
    (runtime / "small").mkdir(mode=0o770)
    book = AcquisitionBook(RunDesk(detector), clock=lambda: 100.0)
    for name, heard_s in (("old", 10.0), ("new", 90.0)):
        book._runs[name] = OlderRun(name, name, "/data/a.h5", 1, heard_s=heard_s)
    book.give_up_before(50.0)
    assert [run.request_id for run in book.open_runs()] == ["new"]
    (ended,) = book.ended(5)
    assert (ended.state, ended.stop_s) == ("FAILED", 100.0)
    assert "its file has the verdict" in ended.message


@pytest.mark.parametrize(
    ("verdict", "state", "message"),
    [
        (Verdict.COMPLETE, "FINISHED", "Completed."),
        (Verdict.KILLED, "FINISHED", "Interrupted."),
        (Verdict.FAILED, "FAILED", "ERROR:why"),
        (Verdict.REFUSED, "FAILED", "ERROR:why"),
    ],
)
def test_each_verdict_has_its_words(verdict: Verdict, state: str, message: str) -> None:
    run = OlderRun(ID, 5, "/data/a.h5", 10)
    run.apply(status(verdict.action, RunReport(request_id=ID, verdict=verdict, reason="why")), 1.0)
    assert (run.state, run.message) == (state, message)


def test_runs_outlive_the_service_and_a_damaged_file_does_not_stop_it(detector: WatchedDetector, runtime: Path) -> None:
    folder = runtime / "small"
    folder.mkdir(mode=0o770)
    run = OlderRun(ID, "night", "/data/a.h5", 10, state="FINISHED", message="Completed.")
    (folder / "web-acquisitions.json").write_text(json.dumps([run.to_record()]))

    async def names() -> list[str]:
        async with AcquisitionBook(RunDesk(detector)) as book:
            assert book.find("night") == book.find(ID)
            return [one.request_id for one in book.ended(5)]

    assert asyncio.run(names()) == [ID]
    for content in ("", "{", "[[]]", '[{"request_id": 1}]', "[" * 100_000):
        (folder / "web-acquisitions.json").write_text(content)
        assert asyncio.run(names_of(detector)) == []


async def names_of(detector: WatchedDetector) -> list[str]:
    async with AcquisitionBook(RunDesk(detector)) as book:
        return [one.request_id for one in book.ended(5)]


def test_picture_shows_the_largest_value_of_a_bin_and_maps_know_gaps() -> None:
    pixels = np.zeros((3000, 2000), np.uint16)
    pixels[1499, 999] = 100
    picture = np.asarray(Image.open(io.BytesIO(pictures.jpeg(pixels))))
    assert picture.shape == (1024, 683, 3), "as wide for its height as the image"
    masked = np.full((2048, 2048), np.nan, np.float32)
    masked[::2, ::2] = 1
    bright = np.asarray(Image.open(io.BytesIO(pictures.jpeg(masked))))
    whole = np.asarray(Image.open(io.BytesIO(pictures.jpeg(np.ones((2048, 2048), np.float32)))))
    assert np.array_equal(bright, whole), "a masked pixel does not hide the others of its bin"
    config = DetectorConfig.model_validate(
        {
            "detector_name": "a",
            "detector_type": "eiger",
            "n_modules": 2,
            "bit_depth": 16,
            "image_pixel_height": 10,
            "image_pixel_width": 8,
            "start_udp_port": 1,
            "module_positions": {0: (0, 3, 7, 0), 1: (0, 6, 7, 9)},
        }
    )
    owners = pictures.module_map(config)
    assert (owners[0, 0], owners[9, 7], np.isnan(owners[5, 0])) == (0, 1, True)
    assert pictures.without_gaps(np.zeros((10, 8)), owners).shape == (8, 8)


def test_client_that_leaves_while_it_watches_frees_its_place(open_console: RunningConsole) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", open_console.port), timeout=10) as client:
            client.sendall(b"GET /daq/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(20).startswith(b"HTTP/1.1 200 OK")
    assert open_console.get("/api/v1/detectors").status == 200


@pytest.mark.long
def test_of_many_who_begin_to_watch_at_once_only_as_many_as_allowed_do(open_console: RunningConsole) -> None:
    """In one packet each, so that none of them has got a picture when the last one asks."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", open_console.port), timeout=10))
            for _ in range(60)
        ]
        for client in clients:
            client.sendall(b"GET /daq/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heads = [_head_of(client) for client in clients]
        assert sum("multipart/x-mixed-replace" in head for head in heads) == 16
        assert sum("application/json" in head for head in heads) == 44
    wait_until(lambda: "multipart" in _head_of_live(open_console), 10.0)


def _head_of_live(console: RunningConsole) -> str:
    with socket.create_connection(("127.0.0.1", console.port), timeout=10) as client:
        client.sendall(b"GET /daq/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return _head_of(client)


def _head_of(client: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received:
        part = client.recv(4096)
        assert part, "the console has closed the connection"
        received += part
    return received.partition(b"\r\n\r\n")[0].decode()
