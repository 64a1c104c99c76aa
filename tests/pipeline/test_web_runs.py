"""Runs in the console, against RabbitMQ, a writer agent, writers and receivers."""

import io
import json
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websockets.sync.client
from PIL import Image

from std_daq.amqp.broker_lookup import VARIABLE
from std_daq.client.scrape import scrape
from std_daq.config.system import load_any_config
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.id_ranges import format_id_ranges
from std_daq.service.record import endpoint_socket
from std_test_kit.agent import AgentProcess, MakeRing, make_config, publish
from std_test_kit.beamline import Beamline
from std_test_kit.store_driver import RingPublisher, missing_packets_of
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread
from std_test_kit.wait import wait_until
from std_test_kit.web_console import TOKEN, RunningConsole, running_console
from std_web.detectors import WatchedDetector
from std_web.runs.desk import RunDesk

OpenBeamline = Callable[..., Beamline]
TIMEOUT_S = 30.0


class RunsClient:
    """A client of the runs of one detector."""

    def __init__(self, console: RunningConsole, detector: str) -> None:
        self.console = console
        self.path = f"/api/v1/detectors/{detector}/runs"

    def start(self, **request: Any) -> dict[str, Any]:
        answer = self.console.ask("POST", self.path, request, token=TOKEN)
        assert answer.status == 201, answer.body
        return dict(answer.json())

    def get(self, request_id: str) -> dict[str, Any]:
        return dict(self.console.get(f"{self.path}/{request_id}").json())

    def kill(self, request_id: str) -> None:
        assert self.console.ask("POST", f"{self.path}/{request_id}/kill", token=TOKEN).status == 202

    def wait_for(self, request_id: str, state: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        wait_until(lambda: self.get(request_id).get("state") == state, timeout_s)
        return self.get(request_id)

    def list(self, query: str = "") -> list[dict[str, Any]]:
        return list(self.console.get(f"{self.path}{query}").json()["runs"])

    def follow(self) -> websockets.sync.client.ClientConnection:
        return websockets.sync.client.connect(f"ws://127.0.0.1:{self.console.port}{self.path}/live")

    def wait_connected(self) -> None:
        with self.follow() as socket:
            while not (message := json.loads(socket.recv(TIMEOUT_S))).get("is_connected"):
                assert message["type"] == "desk" or message["run"]


@dataclass(frozen=True, slots=True)
class Recorder:
    """A writer agent in a process, with a writer and a ring of this process."""

    agent: AgentProcess
    ring: RingPublisher
    runs: RunsClient
    folder: Path
    config_file: Path


@contextmanager
def connected(config_file: Path, detector: str) -> Iterator[RunsClient]:
    """Run a console, and wait until it hears the broker."""
    with running_console(config_file) as console:
        client = RunsClient(console, detector)
        client.wait_connected()
        yield client


@pytest.fixture
def recorder(
    broker_url: str,
    tag: str,
    shm_dir: Path,
    ring_of: MakeRing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Recorder]:
    monkeypatch.setenv(VARIABLE, broker_url)
    config = make_config(shm_dir, tag, output_roots=[str(tmp_path)], max_queued_requests=2, first_image_timeout_s=60.0)
    ring = ring_of(config)
    file = tmp_path / "detector.json"
    with (
        AgentProcess(config, broker_url, tmp_path) as agent,
        StoreWriterThread(config, FakeStoreWriter()),
        connected(file, config.name) as runs,
    ):
        wait_until(lambda: scrape(endpoint_socket(config, "writer-agent")).is_ready, TIMEOUT_S)
        yield Recorder(agent, ring, runs, tmp_path, file)


@pytest.fixture
def runs(recorder: Recorder) -> RunsClient:
    return recorder.runs


def simulate(beamline: Beamline, n_images: int, *more: str) -> None:
    code, _, err = beamline.run("simulate", "--n-images", str(n_images), "--rate-hz", "50", *more)
    assert code == 0, err


@pytest.mark.long
@pytest.mark.timeout(300)
def test_run_is_started_followed_and_listed_with_its_picture(
    open_beamline: OpenBeamline,
    beamline_config: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beamline = open_beamline(beamline_config("gigafrost", writer={"first_image_timeout_s": 60.0}))
    monkeypatch.setenv(VARIABLE, beamline.broker_url)
    with connected(beamline.config_file, beamline.config.name) as runs:
        follow_to_its_picture(runs, beamline, tmp_path)


def follow_to_its_picture(runs: RunsClient, beamline: Beamline, tmp_path: Path) -> None:
    with runs.follow() as socket:
        started = runs.start(output_file=f"{tmp_path}/a_{{number:03}}.h5", n_images=60, experiment={"user_name": "Ada"})
        assert (started["state"], started["output_file"]) == ("queued", f"{tmp_path}/a_001.h5")
        simulate(beamline, 60)
        heard = []
        while not heard or heard[-1]["state"] != "ended":
            message = json.loads(socket.recv(TIMEOUT_S))
            heard += [message["run"]] if message["type"] == "run" else []
    assert {run["request_id"] for run in heard} == {started["request_id"]}
    assert heard[-1]["verdict"] == "complete"
    run = runs.wait_for(started["request_id"], "ended")
    assert (run["n_written"], run["n_lost"], run["files"]) == (60, 0, [f"{tmp_path}/a_001.h5"])
    assert run["last_image_id"] - run["first_image_id"] == 59
    assert run["request"]["n_images"] == 60
    assert run["sender"].startswith("std-web ")
    (listed,) = runs.list("?search=ada")
    assert (listed["request_id"], listed["user_name"], listed["verdict"]) == (run["request_id"], "Ada", "complete")
    assert runs.list("?search=nobody") == []
    answer = runs.console.get(f"{runs.path}/{run['request_id']}/thumbnail?size=64")
    assert answer.status == 200
    picture = np.asarray(Image.open(io.BytesIO(answer.body)))
    assert picture.shape[:2] == (17, 64)
    assert runs.console.get(f"{runs.path}/{run['request_id']}/thumbnail?size=64").body == answer.body


def test_run_is_killed_and_its_thumbnail_waits_for_its_end(recorder: Recorder, runs: RunsClient) -> None:
    request_id = runs.start(output_file=f"{recorder.folder}/k.h5")["request_id"]
    publish(recorder.ring, range(20))
    runs.wait_for(request_id, "started")
    answer = runs.console.get(f"{runs.path}/{request_id}/thumbnail")
    assert answer.status == 404
    assert "has not ended" in answer.json()["detail"]
    runs.kill(request_id)
    run = runs.wait_for(request_id, "ended")
    assert (run["verdict"], run["n_written"]) == ("killed", 20)
    runs.kill(request_id)  # without effect


def test_lost_and_incomplete_images_are_told_as_ranges(recorder: Recorder, runs: RunsClient) -> None:
    request_id = runs.start(output_file=f"{recorder.folder}/lossy.h5", n_images=20)["request_id"]
    came = [*range(100, 105), *range(108, 120)]
    publish(recorder.ring, came)
    run = runs.wait_for(request_id, "ended")
    assert (run["verdict"], run["n_written"], run["n_lost"]) == ("incomplete", 17, 3)
    incomplete = [image_id for image_id in came if any(missing_packets_of(image_id))]
    assert incomplete
    assert (run["lost_image_ids"], run["incomplete_image_ids"]) == ("105-107", format_id_ranges(incomplete, 1000)[0])
    assert (run["first_image_id"], run["last_image_id"]) == (100, 119)


def test_path_outside_the_roots_is_refused_before_and_when_it_is_sent(runs: RunsClient, tmp_path: Path) -> None:
    preview = runs.console.ask("POST", f"{runs.path}/preview", {"output_file": "/etc/x.h5", "n_images": 1}).json()
    assert preview["output_file"] is None
    assert "outside the allowed folders" in preview["refusal"]
    answer = runs.console.ask("POST", runs.path, {"output_file": "/etc/x.h5", "n_images": 1}, token=TOKEN)
    assert answer.status == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert "outside the allowed folders" in answer.json()["detail"]
    assert runs.list() == []
    preview = runs.console.ask("POST", f"{runs.path}/preview", {"output_file": f"{tmp_path}/r_{{number}}.h5"}).json()
    assert (preview["output_file"], preview["is_checked"]) == (f"{tmp_path}/r_1.h5", True)


def test_without_the_token_nothing_is_started_or_killed(runs: RunsClient, tmp_path: Path) -> None:
    request = {"output_file": f"{tmp_path}/x.h5", "n_images": 1}
    assert runs.console.ask("POST", runs.path, request).status == 401
    assert runs.console.ask("POST", runs.path, request, token="a-wrong-token-of-tests").status == 401
    assert runs.console.ask("POST", f"{runs.path}/{uuid.uuid4()}/kill").status == 401
    assert runs.list() == []


def test_without_roots_only_who_may_start_runs_may_ask_which_files_there_are(
    detector_of_any_folder: RunningConsole,
) -> None:
    request = {"output_file": "/etc/passwd"}
    path = "/api/v1/detectors/eiger/runs/preview"
    assert detector_of_any_folder.ask("POST", path, request).status == 401
    answer = detector_of_any_folder.ask("POST", path, request, token=TOKEN)
    assert (answer.status, answer.json()["is_checked"]) == (200, False)


@pytest.fixture
def detector_of_any_folder(tag: str, shm_dir: Path, runtime: Path, tmp_path: Path) -> Iterator[RunningConsole]:
    """A console of a detector without output roots; no service runs."""
    file = tmp_path / "detector.json"
    file.write_text(make_config(shm_dir, tag).model_dump_json(exclude_defaults=True))
    with running_console(file) as console:
        yield console


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({"n_images": 3}, 422, "output_file"),
        ({"output_file": "/x.h5", "n_image": 3}, 422, "n_image"),
        ({"output_file": "/x.h5", "n_images": 0}, 422, "n_images"),
        ({"output_file": "/x.h5", "experiment": {"distance": 1}}, 409, "distance_m"),
    ],
)
def test_wrong_request_is_told(runs: RunsClient, request_: dict[str, Any], status: int, words: str) -> None:
    answer = runs.console.ask("POST", runs.path, request_, token=TOKEN)
    assert (answer.status, answer.json()["status"]) == (status, status)
    assert words in answer.json()["detail"]


def test_same_id_is_carried_out_once(runs: RunsClient, tmp_path: Path) -> None:
    request_id = str(uuid.uuid4())
    for _ in range(2):
        answer = runs.console.ask(
            "POST",
            f"{runs.path}?request_id={request_id}",
            {"output_file": f"{tmp_path}/once.h5", "conflict": "rename"},
            token=TOKEN,
        )
        assert answer.status == 201, answer.body
    assert [run["request_id"] for run in runs.list()] == [request_id]
    runs.kill(request_id)
    runs.wait_for(request_id, "ended")


@pytest.mark.long
def test_run_of_somebody_else_is_followed(recorder: Recorder, runs: RunsClient) -> None:
    with runs.follow() as socket:
        writing = recorder.agent.command("write", "--output-file", recorder.folder / "other.h5", "--n-images", 5)
        while (message := json.loads(socket.recv(TIMEOUT_S)))["type"] != "run":
            pass
        runs.wait_for(message["run"]["request_id"], "queued")
        publish(recorder.ring, range(5))
        _, err = writing.communicate(timeout=TIMEOUT_S)
        assert writing.returncode == 0, err
    ended = runs.wait_for(message["run"]["request_id"], "ended")
    assert ended["output_file"] == f"{recorder.folder}/other.h5"
    assert ended["sender"].startswith("std-daq-client ")


def test_unknown_run_is_not_found(runs: RunsClient) -> None:
    for path in (f"/{uuid.uuid4()}", f"/{uuid.uuid4()}/thumbnail", "/x"):
        assert runs.console.get(f"{runs.path}{path}").status == 404
    assert runs.console.ask("POST", f"{runs.path}/{uuid.uuid4()}/kill", token=TOKEN).status == 404


@pytest.mark.long
def test_run_is_known_after_a_restart_of_agent_and_console(recorder: Recorder, runs: RunsClient) -> None:
    request_id = runs.start(output_file=f"{recorder.folder}/restart.h5", n_images=10)["request_id"]
    recorder.agent.kill(signal.SIGKILL)
    answer = runs.console.get(runs.path).json()
    assert "does not answer" in answer["problem"]
    assert [run["request_id"] for run in answer["runs"]] == [request_id], "what the console itself has heard"
    with connected(recorder.config_file, "eiger") as other:
        assert other.console.get(other.path).json()["runs"] == []
        recorder.agent.start()
        wait_until(lambda: [run["request_id"] for run in other.list()] == [request_id], TIMEOUT_S)
        wait_until(lambda: "waiting" in other.get(request_id)["message"], TIMEOUT_S)
        publish(recorder.ring, range(10))
        for client in (other, runs):
            assert client.wait_for(request_id, "ended")["verdict"] == "complete"


def test_end_during_an_outage_of_the_console_is_found_in_the_journal(recorder: Recorder, runs: RunsClient) -> None:
    request_id = runs.start(output_file=f"{recorder.folder}/missed.h5", n_images=3)["request_id"]
    desk = RunDesk(WatchedDetector(recorder.config_file, load_any_config(recorder.config_file)))
    desk.catch_up()
    assert [run.request_id for run in desk.unfinished()] == [request_id]
    publish(recorder.ring, range(3))
    runs.wait_for(request_id, "ended")
    desk.catch_up()
    run = desk.find(request_id)
    assert run is not None
    assert (run.state, run.verdict, run.n_written) == ("ended", "complete", 3)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_desk_reconnects_after_a_restart_of_the_broker(
    tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with ThrowawayBroker() as broker:
        monkeypatch.setenv(VARIABLE, broker.url)
        with (
            AgentProcess(config, broker.url, tmp_path),
            StoreWriterThread(config, FakeStoreWriter()),
            connected(tmp_path / "detector.json", config.name) as runs,
        ):
            wait_until(lambda: scrape(endpoint_socket(config, "writer-agent")).is_ready, TIMEOUT_S)
            with runs.follow() as socket:
                broker.halt()
                while (message := json.loads(socket.recv(TIMEOUT_S)))["type"] != "desk" or message["is_connected"]:
                    pass
                assert message["problem"]
                request = {"output_file": f"{tmp_path}/away.h5", "n_images": 1}
                answer = runs.console.ask("POST", runs.path, request, token=TOKEN)
                assert (answer.status, answer.json()["title"]) == (503, "Broker away")
                broker.start()
                while not (message := json.loads(socket.recv(60.0))).get("is_connected"):
                    pass
            request_id = runs.start(output_file=f"{tmp_path}/back.h5", n_images=3)["request_id"]
            wait_until(lambda: "waiting" in runs.get(request_id)["message"], TIMEOUT_S)
            publish(ring, range(3))
            assert runs.wait_for(request_id, "ended")["verdict"] == "complete"


@pytest.mark.long
def test_time_that_is_left_is_told_while_a_run_goes_on(recorder: Recorder, runs: RunsClient) -> None:
    request_id = runs.start(output_file=f"{recorder.folder}/long.h5", n_images=1000)["request_id"]
    with runs.follow() as socket:
        publish(recorder.ring, range(60), pause_s=0.05)
        while not (run := json.loads(socket.recv(TIMEOUT_S)).get("run")) or run["seconds_left"] is None:
            pass
    assert run["request_id"] == request_id
    assert run["images_per_second"] > 0
    assert run["seconds_left"] > 0
    runs.kill(request_id)
    assert runs.wait_for(request_id, "ended")["verdict"] == "killed"
