"""A writer agent in a thread or a process, a client that hears it, and images for it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from std_daq.amqp.messages import Message
from std_daq.amqp.topology import REQUEST
from std_daq.config.paths import make_runtime_dir
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.config import RecordingConfig
from std_daq.recording.request_channel import RequestPublisher
from std_daq.recording.requests import Action, StatusMessage, WriteRequest
from std_daq.recording.status_channel import StatusListener
from std_test_kit.services import service_context
from std_test_kit.store_driver import RingPublisher
from std_writer_agent.__main__ import start
from std_writer_agent.agent import WriterAgent

POSITIONS = {0: (0, 258, 513, 513), 1: (516, 258, 1029, 513), 2: (0, 255, 513, 0), 3: (516, 255, 1029, 0)}


def make_config(shm_dir: Path, tag: str, **writer: Any) -> DetectorConfig:
    config = parse_config(
        {
            "detector_name": "eiger",
            "detector_type": "eiger",
            "n_modules": 4,
            "bit_depth": 16,
            "image_pixel_height": 514,
            "image_pixel_width": 1030,
            "start_udp_port": 50000,
            "module_positions": POSITIONS,
            "number_of_writers": writer.pop("number_of_writers", 1),
            "shared_memory": {"directory": str(shm_dir)},
            "broker": {"tag": tag},
            "writer": {"image_timeout_s": 2.0, "writer_timeout_s": 3.0, "min_free_gb": 0, **writer},
        }
    )
    make_runtime_dir(config)
    return config


class AgentThread:
    """The agent in a thread, until the end of the block or a stop."""

    def __init__(self, config: RecordingConfig, url: str, *, has_broker: bool = True) -> None:
        self._context = service_context(config, broker_url=url)
        self._thread = threading.Thread(target=self._run, name="agent")
        self._has_broker = has_broker
        self.is_ready = threading.Event()
        self.agent: WriterAgent | None = None
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self.is_ready.wait(10) or not self._has_broker
        assert self.error is None
        return self

    def __exit__(self, *_: object) -> None:
        self._context.stop.set()
        self._thread.join()
        assert self.error is None

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        families = self._context.registry.collect()
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def _run(self) -> None:
        try:
            agent = start(self._context)
            assert isinstance(agent, WriterAgent)
            self.agent = agent
            while not self._context.stop.is_set():
                agent.step()
                if agent.is_ready:
                    self.is_ready.set()
            agent.close()
        except Exception as error:  # noqa: BLE001 - told to the test
            self.error = error
            self.is_ready.set()


class AgentProcess:
    """The agent as a process that can be killed and started again."""

    def __init__(self, config: RecordingConfig, url: str, folder: Path) -> None:
        self._url = url
        self._config_path = folder / "detector.json"
        self._config_path.write_text(config.model_dump_json(exclude_defaults=True))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, module: str = "std_writer_agent", *arguments: object) -> None:
        """Start the agent, or another module that runs it, which has arguments before those of the agent."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments), *self.config_option],
            env={**os.environ, "STD_DAQ_BROKER_URL": self._url},
        )

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started last runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def config_option(self) -> list[str]:
        """The option of commands that names the configuration."""
        return ["--config", str(self._config_path)]

    def command(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start a command of std-daq for the agent's detector and broker; its errors can be read."""
        return subprocess.Popen(
            [sys.executable, "-m", "std_daq.cli", str(arguments[0]), *self.config_option, *map(str, arguments[1:])],
            env={**os.environ, "STD_DAQ_BROKER_URL": self._url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(20)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Client:
    """Sends requests and hears statuses of one tag."""

    def __init__(self, url: str, tag: str) -> None:
        self.listener = StatusListener(url)
        self._publisher = RequestPublisher(self.listener.connection, tag)
        self._tag = tag
        self.heard: dict[str, list[StatusMessage]] = {}

    def __enter__(self) -> Self:
        self.listener.__enter__()
        self.listener.connection.wait_connected(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.connection.close()

    def write(self, path: Path | str, *, request_id: str | None = None, **fields: Any) -> str:
        return self._publisher.publish(WriteRequest(output_file=str(path), **fields), request_id=request_id)

    def kill(self, request_id: str) -> None:
        self._publisher.kill(request_id)

    def send(self, body: bytes, correlation_id: str) -> None:
        message = Message(
            exchange=REQUEST, routing_key=self._tag, body=body, correlation_id=correlation_id, is_mandatory=True
        )
        self.listener.connection.publish(message).result(10)

    def hear(self, timeout_s: float = 0.0) -> None:
        status = self.listener.receive(timeout_s)
        if status is not None and status.source == self._tag:
            self.heard.setdefault(status.request_id, []).append(status)

    def hear_anything(self, timeout_s: float = 20.0) -> None:
        """Wait until a status of any request is heard that says that images can come."""
        deadline = time.monotonic() + timeout_s
        while not any("waiting" in status.message for heard in self.heard.values() for status in heard):
            assert time.monotonic() < deadline, "nothing is heard"
            self.hear(0.1)

    def wait_for(self, request_id: str, action: Action, timeout_s: float = 20.0) -> StatusMessage:
        return self.wait_until(request_id, lambda status: status.action is action, timeout_s)

    def wait_for_end(self, request_id: str, timeout_s: float = 20.0) -> StatusMessage:
        return self.wait_until(request_id, lambda status: status.action.is_final, timeout_s)

    def wait_until(
        self, request_id: str, is_it: Callable[[StatusMessage], bool], timeout_s: float = 20.0
    ) -> StatusMessage:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for status in self.heard.get(request_id, []):
                if is_it(status):
                    return status
            self.hear(0.1)
        raise AssertionError(f"not heard in time; what was: {self.heard.get(request_id)}")

    def ends(self, request_id: str, quiet_s: float = 0.5) -> list[StatusMessage]:
        """Return all ends that were heard of a request, after a while of listening."""
        deadline = time.monotonic() + quiet_s
        while time.monotonic() < deadline:
            self.hear(0.05)
        return [status for status in self.heard.get(request_id, []) if status.action.is_final]


MakeRing = Callable[..., RingPublisher]


def publish(ring: RingPublisher, ids: Iterable[int], pause_s: float = 0.0) -> None:
    for image_id in ids:
        ring.publish(image_id)
        time.sleep(pause_s)
