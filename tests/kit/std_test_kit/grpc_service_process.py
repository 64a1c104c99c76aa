"""GrpcServiceProcess: a real service with a gRPC server in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

READY_WITHIN_S = 20.0  # on a machine that does much else


class GrpcServiceProcess:
    """A context manager: a service on a Unix socket, in a folder of its own.

    Parameters
    ----------
    package
        Package of the service.
    name
        Name of its configuration and its socket, without the extension.
    config
        Keys of the configuration in addition to the socket.

    Attributes
    ----------
    temporary
        Where the process makes its temporary files.
    """

    def __init__(self, package: str, name: str, config: dict[str, Any]) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="sdl-")
        self._package = package
        self.folder = Path(self._temporary.name)
        self.config = self.folder / f"{name}.json"
        self.socket = self.folder / f"{name}.sock"
        self.log = self.folder / "log"
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        document = {"port": None, "unix_socket": self.socket.name} | config
        self.config.write_text(json.dumps(document))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        """Where clients find it."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._package, "--config", str(self.config)],
                cwd="/",
                stderr=log,
                env=os.environ | {"STD_DAQ_RUNTIME_DIR": str(self.folder / "run"), "TMPDIR": str(self.temporary)},
            )
        deadline_s = time.monotonic() + READY_WITHIN_S
        with grpc.insecure_channel(self.target) as channel:
            while not _is_serving(channel):
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline_s, self.log.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM, within_s: float = 10.0) -> int:
        """Send a signal, and return the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(within_s)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log with this event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait(10)
        finally:
            self._temporary.cleanup()


def _is_serving(channel: grpc.Channel) -> bool:
    """Return whether the server's health says so, which asks for no token."""
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=0.3, wait_for_ready=True)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
