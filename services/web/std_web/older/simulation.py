"""SimulatorProcess: the simulated detector that clients start and stop."""

import asyncio
import subprocess
import sys
import threading
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self

_END_S = 5.0


class SimulatorProcess(AbstractAsyncContextManager["SimulatorProcess"]):
    """At most one simulated detector, a process of its own; it may be used in any thread.

    Parameters
    ----------
    file
        Configuration of the detector.
    host
        Where its receivers are; empty: on this machine, as the configuration says.
    rate_hz
        Images per second.
    """

    def __init__(self, file: Path, host: str, rate_hz: float) -> None:
        self._arguments = (str(file), host, str(rate_hz))
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._lock = threading.Lock()
        self._n_images = 0
        self._first_frame = 1

    def start(self) -> None:
        """Start to send; does nothing while it sends."""
        with self._lock:
            if self._is_running():
                return
            # Frame numbers go on: a detector that begins anew would be taken for one that was restarted.
            self._first_frame += self._n_images
            self._n_images = 0
            first = str(self._first_frame)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "std_web.older.simulator", *self._arguments, first],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self._reader = threading.Thread(target=self._count, args=(self._process,), name="simulation", daemon=True)
            self._reader.start()

    def stop(self) -> None:
        """Stop to send; does nothing if it does not send."""
        with self._lock:
            if self._process is None:
                return
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._reader is not None:
                self._reader.join(_END_S)
            self._process = self._reader = None

    def document(self) -> dict[str, Any]:
        """Return the state, as the older interface tells it."""
        # Without the lock, which `stop` holds for seconds: the event loop asks.
        state = "STREAMING" if self._is_running() else "READY"
        return {"status": state, "stats": {"n_generated_images": self._n_images}}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.to_thread(self.stop)

    def _is_running(self) -> bool:
        process = self._process
        return process is not None and process.poll() is None

    def _count(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None, "started with a pipe"  # noqa: S101
        with process.stdout as lines:
            for line in lines:
                if line.strip().isdigit():
                    self._n_images = int(line)
