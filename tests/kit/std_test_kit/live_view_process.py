"""LiveViewProcess: a real std-live-view in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from std_test_kit.daqdata_clients import TableClient

READY_WITHIN_S = 20.0  # on a machine that does much else


class LiveViewProcess:
    """A context manager: a std-live-view on a Unix socket, in a folder of its own.

    Parameters
    ----------
    config
        Keys of the configuration in addition to those that make it quiet and local.
    """

    def __init__(self, **config: Any) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="sdl-")
        self.folder = Path(self._temporary.name)
        self.socket = self.folder / "live.sock"
        self.log = self.folder / "log"
        document = {"port": None, "unix_socket": "live.sock", "required_process": None} | config
        (self.folder / "live.json").write_text(json.dumps(document))
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
                [sys.executable, "-m", "std_live_view", "--config", str(self.folder / "live.json")],
                cwd="/",
                stderr=log,
                env=os.environ | {"STD_DAQ_RUNTIME_DIR": str(self.folder / "run")},
            )
        with TableClient(self.target) as client:
            deadline_s = time.monotonic() + READY_WITHIN_S
            while not client.is_serving():
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
