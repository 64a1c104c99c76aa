"""From the start of each service until its /health/ready says so, with warm caches.

Each is started anew while all others run, as after a crash: no service waits for another. One start before those that
count leaves the compiled loops in their cache and the files in the page cache. Rings are small, because touching the
memory of large ones comes on top, at the machine's rate. The detector is one JUNGFRAU module with its calibration
files; the writer agent has a throwaway RabbitMQ, and the receiver of another server's images a sender on this one.

There is nothing to compare with but Python itself: the details tell the CPU time of each start, and how long an
interpreter takes that only imports what the services are built on (numpy, numba, pydantic, zmq, structlog,
prometheus_client).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from std_benchmarks.figure import Figure, Target
from std_benchmarks.image_path.chains import platform_broker
from std_benchmarks.image_path.jungfrau_module import JungfrauModule
from std_benchmarks.receiving.cpu_time import process_s
from std_benchmarks.setting import Setting
from std_daq.client.scrape import scrape
from std_daq.errors import ResourceError
from std_daq.imaging.config.load import load_config
from std_daq.service.record import read_records
from std_daq.service.registry import wanted_instances
from std_daq.service.supervisor import ServiceCommand
from std_test_kit.free_ports import free_tcp_port

MAX_STARTS = 2
MAX_START_S = 180.0  # the first one may have to compile

NEAR, FAR = "near.json", "far.json"
_LOOK_S = 0.005
_STOP_S = 10.0
_IMPORTS = "import numpy, numba, pydantic, zmq, structlog, prometheus_client"


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the time of each service."""
    with JungfrauModule(setting.folder, setting.shm) as module, platform_broker() as environment, ExitStack() as stack:
        services = [
            stack.enter_context(_Service(command, file, environment))
            for file in _servers(module.config_file, setting)
            for command in (one.command(file) for one in wanted_instances(load_config(file)))
            if file.name == NEAR or command.instance == "stream-recv"
        ]
        seconds: dict[str, list[float]] = {}
        cpu: dict[str, list[float]] = {}
        imports = []
        for turn in range(min(setting.repeats, MAX_STARTS) + 1):
            for service in services:
                setting.progress(f"starting {service.instance}")
                times = service.start()
                if turn:
                    seconds.setdefault(service.instance, []).append(times[0])
                    cpu.setdefault(service.instance, []).append(times[1])
            imports.append(_seconds_to_import())
    for name in seconds:
        details = {"cpu_s": max(cpu[name]), "imports_alone_s": min(imports)}
        yield Figure(f"{name} ready", "s", seconds[name], target=Target.at_most(2), details=details)


class _Service:
    """A service that is started again and again; ends with its context."""

    def __init__(self, command: ServiceCommand, config_file: Path, environment: dict[str, str]) -> None:
        self.instance = command.instance
        self._command = [sys.executable, "-m", command.module, *command.arguments]
        self._config = load_config(config_file)
        self._environment = os.environ | environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> tuple[float, float]:
        """Start it, again if it runs; returns seconds and CPU seconds until it was ready.

        Raises
        ------
        ResourceError
            When it ends, or is not ready in time.
        """
        self._stop()
        started = time.monotonic()
        process = self._process = subprocess.Popen(self._command, env=self._environment)
        while not self._is_ready():
            if process.poll() is not None or time.monotonic() - started > MAX_START_S:
                raise ResourceError(f"{self.instance} did not become ready: exit code {process.poll()}")
            time.sleep(_LOOK_S)
        return time.monotonic() - started, process_s(process.pid)

    def __enter__(self) -> "_Service":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _is_ready(self) -> bool:
        records = [record for record in read_records(self._config) if record.instance == self.instance]
        return bool(records) and scrape(records[0].socket).is_ready

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _servers(config_file: Path, setting: Setting) -> tuple[Path, Path]:
    """Return the configurations of two servers: one with the detector, one that receives its images."""
    document = json.loads(config_file.read_text())
    near, far = config_file.with_name(NEAR), config_file.with_name(FAR)
    link, live = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
    rings = {name: setting.shm / name for name in ("near", "far")}
    sockets = {name: setting.folder / name for name in ("near", "far")}
    for folder in (*rings.values(), *sockets.values()):
        folder.mkdir()
    small = {"frame_slots": 64, "image_slots": 64}
    common = {
        name: {"shared_memory": small | {"directory": str(rings[name])}, "runtime_dir": str(sockets[name])}
        for name in rings
    }
    near.write_text(
        json.dumps(
            document
            | common["near"]
            | {
                "replication": {"send": [{"address": link}]},
                "live_stream_configs": {live: {"type": "forward", "config": []}},
            }
        )
    )
    far.write_text(json.dumps(document | common["far"] | {"replication": {"receive": {"sources": [link]}}}))
    return near, far


def _seconds_to_import() -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    return time.monotonic() - started
