import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import WriterQueues
from std_daq.cli.__main__ import main
from std_daq.client import DaqClient
from std_daq.config.system import load_any_config
from std_daq.config.up_lock import UpLock
from std_daq.errors import BrokerError, RequestRefusedError
from std_daq.recording.request_channel import ReceivedKill, ReceivedRequest, RequestConsumer
from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict
from std_daq.recording.status_channel import StatusPublisher
from std_daq.telemetry.logs import configure_logs
from std_test_kit.terminal import Terminal

WAIT_S = 20.0

Answer = Callable[["FakeAgent", ReceivedRequest], None]


class FakeAgent:
    """Takes requests from a real broker and answers as told."""

    def __init__(self, url: str, tag: str, answer: Answer) -> None:
        self.requests: list[ReceivedRequest] = []
        self.kills: list[str] = []
        self._connection = BrokerConnection(url, WriterQueues(tag), name="fake-agent")
        self._consumer = RequestConsumer(self._connection, tag)
        self._statuses = StatusPublisher(self._connection)
        self._answer = answer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def tell(self, received: ReceivedRequest, action: Action, message: str = "", **details: int) -> None:
        self._statuses.publish(
            StatusMessage(
                request_id=received.request_id, action=action, source="agent", message=message, details=details
            )
        )

    def end(self, received: ReceivedRequest, verdict: Verdict, **fields: object) -> None:
        report = RunReport.model_validate({"request_id": received.request_id, "verdict": verdict, **fields})
        self._statuses.publish(StatusMessage.of_report(report, source="agent", body=received.delivery.body))

    def _run(self) -> None:
        while not self._stop.is_set():
            received = self._consumer.poll(0.1)
            if isinstance(received, ReceivedKill):
                self.kills.append(received.request_id)
                self._consumer.accept(received)
                for request in self.requests:
                    if request.request_id == received.request_id:
                        self.end(request, Verdict.KILLED, reason="killed by request", n_written=2)
            elif received is not None:
                self._consumer.accept(received)
                self.requests.append(received)
                self._answer(self, received)

    def __enter__(self) -> "FakeAgent":
        self._connection.start()
        self._connection.wait_connected(WAIT_S)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()


def accept(agent: FakeAgent, received: ReceivedRequest) -> None:
    agent.tell(received, Action.ACCEPTED)
    agent.tell(received, Action.PROGRESS, "2 of 5 images written", n_written=2, n_requested=5)


def complete(agent: FakeAgent, received: ReceivedRequest) -> None:
    accept(agent, received)
    agent.end(received, Verdict.COMPLETE, n_requested=5, n_written=5, files=[received.parse().output_file])


def lose_some(agent: FakeAgent, received: ReceivedRequest) -> None:
    agent.end(
        received, Verdict.INCOMPLETE, reason="2 lost", n_requested=5, n_written=3, n_lost=2, lost_image_ids=(7, 8)
    )


def refuse(agent: FakeAgent, received: ReceivedRequest) -> None:
    agent.end(received, Verdict.REFUSED, reason="the file exists")


def fail(agent: FakeAgent, received: ReceivedRequest) -> None:
    agent.end(received, Verdict.FAILED, reason="disk full")


@pytest.fixture
def config(tmp_path: Path, runtime: Path, tag: str, broker_url: str) -> Iterator[str]:
    """A configuration with the broker's URL where ``std-daq up`` leaves it."""
    path = tmp_path / "detector.json"
    path.write_text(
        json.dumps(
            {
                "detector_name": tag,
                "detector_type": "eiger",
                "n_modules": 1,
                "bit_depth": 16,
                "image_pixel_height": 256,
                "image_pixel_width": 514,
                "start_udp_port": 50000,
                "module_positions": {},
            }
        )
    )
    configure_logs("error")
    with UpLock(load_any_config(path)) as lock:
        (runtime / tag / "broker-url").write_text(f"{broker_url}\n")
        lock.note_ready()
        yield str(path)


def write(config: str, *more: str) -> int:
    return main(["write", "--config", config, "--output-file", "run.h5", "--n-images", "5", *more])


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [(complete, 0), (lose_some, 3), (fail, 5), (refuse, 6)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_exit_code_is_the_verdict(
    config: str, tag: str, broker_url: str, answer: Answer, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeAgent(broker_url, tag, answer):
        assert write(config, "--json") == exit_code
    document = json.loads(capsys.readouterr().out)
    assert {
        "request_id", "verdict", "reason", "n_requested", "n_written", "n_incomplete", "lost_image_ids", "files"
    } <= set(document)  # fmt: skip
    if answer is lose_some:
        assert document["lost_image_ids"] == [7, 8]


def test_request_says_what_the_options_say(
    config: str, tag: str, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with FakeAgent(broker_url, tag, complete) as agent:
        options = ("--compression", "bslz4", "--start-image-id", "7", "--n-files", "2", "--conflict", "rename")
        experiment = ("--experiment", "experiment.json", "--detector-distance-m", "0.15", "--beam-center-px", "7", "9")
        rotation = ("--omega-start-deg", "10", "--omega-increment-deg", "0.1", "--omega-vector", "-1", "0", "0")
        Path("experiment.json").write_text('{"distance_m": 0.2, "proposal": "p7"}')
        options += (*experiment, *rotation)
        assert write(config, *options, "--metadata", "sample=lysozyme", "--metadata", "t=0.5") == 0
        [received] = agent.requests
    request = received.parse()
    assert request.output_file == str(tmp_path / "run.h5")
    assert (request.n_images, request.start_image_id, request.n_files) == (5, 7, 2)
    assert (request.compression, request.conflict) == ("bslz4", "rename")
    assert request.user_metadata == {"sample": "lysozyme", "t": 0.5}
    assert request.experiment == {
        "distance_m": 0.15,
        "proposal": "p7",
        "beam_center_px": [7.0, 9.0],
        "goniometer": [{"name": "omega", "start_deg": 10.0, "increment_deg": 0.1, "vector": [-1.0, 0.0, 0.0]}],
    }


def test_experiment_that_the_writer_would_refuse_is_not_sent(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert write(config, "--distance-m", "-1") == 2
    assert "experiment.distance_m" in capsys.readouterr().err
    assert write(config, "--omega-start-deg", "10") == 2
    assert "--omega-increment-deg" in capsys.readouterr().err


def test_report_is_readable(config: str, tag: str, broker_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeAgent(broker_url, tag, lose_some):
        assert write(config) == 3
    output = capsys.readouterr().out
    assert "incomplete: 2 lost" in output
    assert "3 of 5 written" in output
    assert "7-8" in output


def test_detached_request_is_printed_and_can_be_killed(
    config: str, tag: str, broker_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeAgent(broker_url, tag, accept) as agent:
        assert write(config, "--detach") == 0
        request_id = capsys.readouterr().out.strip()
        assert main(["kill", "--config", config, request_id, "--wait-s", "20", "--json"]) == 4
        assert agent.kills == [request_id]
    assert json.loads(capsys.readouterr().out)["n_written"] == 2


def test_kill_of_nonsense_is_refused(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["kill", "--config", config, "nonsense"])
    assert "'nonsense' is not the id of a request" in capsys.readouterr().err


@pytest.mark.long
def test_first_interrupt_kills_the_run(config: str, tag: str, broker_url: str) -> None:
    def interrupt(agent: FakeAgent, received: ReceivedRequest) -> None:
        clients[0].send_signal(signal.SIGINT)
        accept(agent, received)

    clients: list[subprocess.Popen[bytes]] = []
    command = [sys.executable, "-m", "std_daq.cli.__main__", "write", "--config", config, "--output-file", "a.h5"]
    # The agent answers as soon as there is one, so the client has to be known before.
    with BrokerConnection(broker_url, WriterQueues(tag)) as queues:
        queues.wait_connected(WAIT_S)
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        clients.append(client)
        with FakeAgent(broker_url, tag, interrupt):
            client.communicate(timeout=WAIT_S)
    assert client.returncode == 4


def test_request_that_nobody_takes_is_told(
    config: str, tag: str, broker_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from std_daq.cli import progress

    monkeypatch.setattr(progress, "FIRST_ANSWER_S", 0.2)
    with BrokerConnection(broker_url, WriterQueues(tag)) as queues:
        queues.wait_connected(WAIT_S)
    waiting = threading.Event()
    monkeypatch.setattr(
        progress.RunProgress, "_print_or_log", lambda self, message: (said.append(message), waiting.set())
    )
    said: list[str] = []

    def serve() -> None:
        waiting.wait(WAIT_S)
        with FakeAgent(broker_url, tag, complete) as agent:
            answered = threading.Event()
            while not agent.requests and not answered.wait(0.05):
                pass
            answered.wait(0.2)

    server = threading.Thread(target=serve)
    server.start()
    assert write(config) == 0
    server.join()
    assert said == ["no writer agent has taken the request yet; the request waits in the queue"]


@pytest.mark.long
@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_write_that_waits_shows_id_file_and_how_long(
    config: str, tag: str, broker_url: str, tmp_path: Path, term: str
) -> None:
    with BrokerConnection(broker_url, WriterQueues(tag)) as queues:
        queues.wait_connected(WAIT_S)
    file = tmp_path / "of-a-very-long-name-as-users-like-them" / "run.h5"
    command = [sys.executable, "-m", "std_daq.cli", "write", "--config", config, "--output-file", str(file)]
    with Terminal(command, 60, 20, TERM=term) as terminal:
        if term == "dumb":
            terminal.wait_for("requested", "waited_s=5", "waiting for a writer agent")
        else:
            terminal.wait_for("request ", "waiting for a writer agent, 1 s")
            terminal.wait_for("waiting for a writer agent, 2 s")
        with FakeAgent(broker_url, tag, accept) as agent:
            while not agent.requests:
                terminal.read(time.monotonic() + 0.1)
            terminal.press_ctrl_c()
            assert terminal.end() == 4
        shown = "".join(terminal.lines)
        assert agent.requests[0].request_id in shown
        assert str(file) in shown
        assert (b"\x1b" in terminal.output) == (term != "dumb")
        assert terminal.is_given_back


def test_client_reports_progress_and_times_out(config: str, tag: str, broker_url: str) -> None:
    heard: list[StatusMessage] = []
    with FakeAgent(broker_url, tag, accept), DaqClient(config).write("/data/a.h5", n_images=5) as run:
        with pytest.raises(TimeoutError, match=run.request_id):
            run.wait(1.0, heard.append)
        assert [status.action for status in heard] == [Action.ACCEPTED, Action.PROGRESS]
        assert heard[-1].details["n_written"] == 2
        run.kill()
        assert run.wait(WAIT_S).verdict is Verdict.KILLED


def test_run_that_has_ended_leaves_nothing_open(config: str, tag: str, broker_url: str) -> None:
    with FakeAgent(broker_url, tag, complete):
        report = DaqClient(config).write("/data/a.h5", n_images=5).wait(WAIT_S)
    assert report.verdict is Verdict.COMPLETE


def test_writer_of_the_plain_convention_is_understood(config: str, tag: str, broker_url: str) -> None:
    def answer(agent: FakeAgent, received: ReceivedRequest) -> None:
        agent.tell(received, Action.FAIL, "no space left")

    with FakeAgent(broker_url, tag, answer), DaqClient(config).write("/data/a.h5", n_images=5) as run:
        report = run.wait(WAIT_S)
    assert (report.verdict, report.reason, report.n_requested) == (Verdict.FAILED, "no space left", 5)


def test_unknown_writer_is_an_error_at_once(config: str) -> None:
    with pytest.raises(BrokerError, match="start the writer"):
        DaqClient(config).write("/data/a.h5")


def test_invalid_arguments_are_refused_at_once(config: str) -> None:
    with pytest.raises(RequestRefusedError, match="images_per_file"):
        DaqClient(config).write("/data/a.h5", images_per_file=1, n_files=2)
