"""PhotonProcess: a real std-sim-router or std-sim-worker in a process of its own; and clients as the C++ one is."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import zmq

from std_test_kit.wait import wait_until

READY_WITHIN_S = 100.0  # on a machine that does much else, and has to compile


class PhotonProcess:
    """A context manager: a service of the photon simulation.

    Parameters
    ----------
    package
        ``std_sim_router`` or ``std_sim_worker``.
    arguments
        Its command line.
    """

    def __init__(self, package: str, *arguments: object) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="sdf-")
        self.folder = Path(self._temporary.name)
        self.log = self.folder / "log"
        self._command = [sys.executable, "-m", package, *map(str, arguments)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the process."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                stderr=log,
                env=os.environ | {"STD_DAQ_RUNTIME_DIR": str(self.folder / "run")},
            )
        return self

    def end(self, number: signal.Signals = signal.SIGTERM, within_s: float = 10.0) -> int:
        """Send a signal, and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(within_s)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log with this event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def wait_for_log(self, event: str, n_times: int = 1) -> None:
        """Wait until something has been logged."""

        def is_logged() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            return len(self.logged(event)) >= n_times

        wait_until(is_logged, READY_WITHIN_S, self.log.read_text)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        try:
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.process.wait(10)
        finally:
            self._temporary.cleanup()


def ask(address: str, request: list[bytes], timeout_s: float = 10.0) -> list[bytes]:
    """Send one request over a new REQ socket, as the C++ client does, and return the reply; [] if there is none."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        socket = context.socket(zmq.REQ)
        socket.connect(address)
        socket.send_multipart(request)
        return socket.recv_multipart() if socket.poll(int(timeout_s * 1000)) else []
    finally:
        context.destroy(linger=0)


def wait_for_answer(address: str, within_s: float = READY_WITHIN_S) -> None:
    """Wait until PING is answered."""
    assert ask(address, [b"PING"], within_s) == [b"ACK"]
