"""A run, and who waits for it, while the broker takes no messages because its disk or memory is full."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from std_daq.amqp.topology import KILL
from std_daq.errors import BrokerBlockedError
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.requests import Action, Verdict
from std_test_kit.agent import AgentProcess, AgentThread, Client, MakeRing, make_config, publish
from std_test_kit.broker_alarm import Parcels, alarm
from std_test_kit.exchanges import declare_exchanges
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread
from std_test_kit.wait import wait_until

LIMIT_S = 30.0

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def node() -> Iterator[ThrowawayBroker]:
    with ThrowawayBroker() as broker:
        declare_exchanges(broker.url)
        yield broker


@pytest.mark.long
def test_run_is_killed_during_an_alarm_and_its_end_is_heard_after_it(
    node: ThrowawayBroker, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    writer = FakeStoreWriter()
    with (
        Client(node.url, tag) as client,
        StoreWriterThread(config, writer),
        AgentThread(config, node.url) as thread,
        Parcels(node.url, KILL, tag) as kills,
    ):
        agent = thread.agent
        assert agent is not None
        request_id = client.write(tmp_path / "run.h5", image_timeout_s=60.0)
        client.wait_until(request_id, lambda status: "waiting" in status.message)
        publish(ring, range(3))
        client.wait_for(request_id, Action.START)
        kills.prepare(request_id)
        with alarm(node, "disk"):
            publish(ring, range(3, 7))
            wait_until(lambda: thread.metric("daq_broker_blocked") == 1, LIMIT_S)
            wait_until(lambda: thread.metric("daq_broker_messages_waiting") > 0, LIMIT_S)
            assert agent.is_ready, "it carries out a run"
            with pytest.raises(BrokerBlockedError, match="disk alarm"):
                client.kill(request_id)
            kills.let_go()
            wait_until(lambda: bool(writer.reports), LIMIT_S)
            wait_until(lambda: "disk alarm (low on disk)" in (agent.why_not_ready or ""), LIMIT_S)
            assert not client.ends(request_id)
        end = client.wait_for_end(request_id)
        assert end.report is not None
        assert (end.report.verdict, end.report.n_written) == (Verdict.KILLED, 7)
        assert client.ends(request_id) == [end]
        wait_until(lambda: agent.is_ready and thread.metric("daq_broker_blocked") == 0, LIMIT_S)


@pytest.mark.long
def test_whoever_waits_or_asks_is_told_of_the_alarm(
    node: ThrowawayBroker, tag: str, shm_dir: Path, ring_of: MakeRing, tmp_path: Path
) -> None:
    config = make_config(shm_dir, tag)
    ring = ring_of(config)
    with AgentThread(config, node.url):
        pass  # the queue is declared now
    with (
        StoreWriterThread(config, FakeStoreWriter()),
        AgentProcess(config, node.url, tmp_path) as process,
        Client(node.url, tag) as client,
    ):
        waiting = process.command("write", "--output-file", tmp_path / "run.h5", "--image-timeout-s", "60")
        client.hear_anything()
        publish(ring, range(3))
        with alarm(node, "memory"):
            lines = _lines_until(waiting, "blocks publishers: memory alarm (low on memory)")
            assert "the run goes on" in lines[-1]
            refused = process.command("write", "--output-file", tmp_path / "other.h5")
            assert refused.wait(LIMIT_S) == 1
            assert refused.stderr is not None
            assert "the message was not sent" in refused.stderr.read()
            status = _status_until(process, lambda run: "memory alarm" in run["broker"])
            assert status["n_waiting"] >= 0
            waiting.send_signal(2)
            _lines_until(waiting, "the kill is sent when that ends")
            killing, late, not_sent = (
                process.command("kill", "--current", *wait) for wait in (["--wait-s", LIMIT_S], ["--wait-s", 0.1], [])
            )
            _lines_until(killing, "the kill is sent when that ends")
            _lines_until(not_sent, "--wait-s sends it when that ends; to end the run now, stop the writer agent")
            assert (late.wait(LIMIT_S), not_sent.wait(LIMIT_S)) == (1, 1)
            _lines_until(late, "blocks publishers: memory alarm")
        _lines_until(waiting, "kill sent")
        assert waiting.wait(LIMIT_S) == killing.wait(LIMIT_S) == Verdict.KILLED.exit_code
        assert _status_until(process, lambda run: not run["broker"])
        for command in (waiting, refused, not_sent, killing, late):
            assert command.stderr is not None
            command.stderr.close()


def _lines_until(process: "subprocess.Popen[str]", text: str) -> list[str]:
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} was not told: {lines}")


def _status_until(process: AgentProcess, condition: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    deadline = time.monotonic() + LIMIT_S
    while True:
        command = [sys.executable, "-m", "std_daq.cli", "status", "--json", "--period-s", "0.1"]
        done = subprocess.run([*command, *process.config_option], capture_output=True, text=True, check=False)
        run: dict[str, object] = json.loads(done.stdout)["run"]
        if condition(run):
            return run
        assert time.monotonic() < deadline, run
