import os
import signal
import subprocess
import sys
from pathlib import Path

import pika
import pika.exceptions
import pytest

from std_daq.amqp.address import BrokerAddress
from std_daq.errors import BrokerError
from std_daq.rabbitmq import node as rabbit_node
from std_daq.rabbitmq.throwaway import ThrowawayBroker, launch_broker
from std_test_kit.wait import wait_until

TIMEOUT_S = 10.0

PARENT = """
import time
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.telemetry.logs import configure_logs
configure_logs()
broker = ThrowawayBroker()
broker.start()
print(broker.pid, broker.folder, flush=True)
time.sleep(100)
"""


def is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits for its parent to look at it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def processes_that_name(text: str) -> list[int]:
    pids = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in environment and is_running(int(entry.name)):
            pids.append(int(entry.name))
    return pids


def connect(url: str) -> None:
    pika.BlockingConnection(pika.URLParameters(url)).close()


def is_written(folder: Path, name: bytes) -> bool:
    """Return whether the node has written a queue's name into its database."""
    return any(name in path.read_bytes() for path in folder.rglob("*") if path.suffix in {".LOG", ".DCD", ".DCL"})


class NodeThatLosesItsConsole(ThrowawayBroker):
    """A node in which what reads its input is ended before the node is, as at each orderly end."""

    def _environment(self) -> dict[str, str]:
        environment = super()._environment()
        environment["ERL_ZFLAGS"] += " -eval 'timer:apply_after(200, erlang, exit, [whereis(user), kill]).'"
        return environment


def test_node_that_is_told_to_end_keeps_its_data() -> None:
    with NodeThatLosesItsConsole() as broker:
        connect(broker.url)
        broker.stop()
        assert (broker.folder / "log" / "rabbit.log").exists()
        assert list((broker.folder / "data").iterdir())


@pytest.mark.long
def test_node_comes_back_with_its_data_and_leaves_nothing() -> None:
    with ThrowawayBroker() as broker:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True)
        channel.basic_publish("", "kept", b"1", pika.BasicProperties(delivery_mode=2))
        # RabbitMQ keeps news of queues to itself for up to two seconds before it writes them, in the order in which
        # they came: where the later one is, the other is there as a whole.
        channel.queue_declare("later", durable=True)
        wait_until(lambda: is_written(broker.folder, b"later"), TIMEOUT_S)
        pid = broker.pid
        assert pid is not None
        broker.revive()
        assert broker.pid == pid, "it lives"
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: processes_that_name(broker.folder.name) == [], TIMEOUT_S)
        with pytest.raises(pika.exceptions.AMQPError):
            connection.process_data_events()
        broker.revive()
        assert broker.pid != pid
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        assert connection.channel().basic_get("kept")[2] == b"1"
        connection.close()
    with pytest.raises(pika.exceptions.AMQPError):
        connect(broker.url)
    assert not broker.folder.exists()
    wait_until(lambda: processes_that_name(broker.folder.name) == [], TIMEOUT_S)


@pytest.mark.long
def test_node_ends_with_its_parent_even_if_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            pid, folder = parent.stdout.readline().split()
            assert is_running(int(pid))
        finally:
            parent.kill()
    wait_until(lambda: processes_that_name(Path(folder).name) == [], TIMEOUT_S)
    assert not Path(folder).exists()


def test_missing_server_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbit_node, "SERVERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BrokerError, match="apt install rabbitmq-server"):
        ThrowawayBroker()


def test_server_that_ends_at_once_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = tmp_path / "rabbitmq-server"
    server.write_text("#!/bin/sh\necho no room for rabbits\nexit 1\n")
    server.chmod(0o755)
    monkeypatch.setattr(rabbit_node, "SERVERS", (server,))
    broker = ThrowawayBroker()
    with pytest.raises(BrokerError, match=r"(?s)ended at its start.*no room for rabbits"), broker:
        pass
    assert not broker.folder.exists()


def test_given_url_starts_nothing() -> None:
    address = BrokerAddress.parse("amqp://elsewhere")
    with launch_broker(address) as broker:
        broker.wait_until_ready()
        broker.revive()
        assert broker.address == address


@pytest.mark.long
def test_throwaway_node_is_started_without_url() -> None:
    with launch_broker(None) as broker:
        broker.wait_until_ready()
        connect(broker.address.text)
