"""ViewerLink: draws in a viewer over the network, and is never held up by it.

Rerun's client waits without end for a viewer that does not answer: when it flushes, and when its process ends. So the
client lives in a process of its own, which takes one drawing at a time and says when the viewer has it. If it says
nothing in time, it is killed.
"""

import os
import pickle
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from std_daq.errors import ResourceError
from std_daq.extras import extras_explained
from std_daq.view3d.drawing import Drawing
from std_daq.view3d.viewer_address import CONNECT_S, ViewerAddress

HAS_IT = b"\x06"
"""What the process says when the viewer has a drawing."""

CANNOT_BE_DRAWN = b"\x15"
"""What it says of a drawing that raises, followed by the reason."""

MAX_WHY_BYTES = 1000
"""The reason is shorter than what a pipe takes in one piece."""

END_S = 0.4
"""How long the process may take to end the connection."""


class WrongDrawingError(ResourceError):
    """A drawing cannot be drawn; the link can be used for the next one."""


class ViewerLink:
    """A connection to one viewer.

    Parameters
    ----------
    application, recording_id
        What the viewer files the drawings under. A new link with the same two goes on with the recording.
    connect_s
        How long to wait for a host that does not answer.

    Raises
    ------
    ResourceError
        No viewer listens at the address.
    MissingExtraError
        Rerun is not installed.
    """

    def __init__(
        self, address: ViewerAddress, application: str, recording_id: str, *, connect_s: float = CONNECT_S
    ) -> None:
        with extras_explained():
            import rerun  # noqa: F401 -- an import that fails here is explained, one in the process is not
        address.check(connect_s)
        self._address = address
        command = [sys.executable, "-m", "std_daq.view3d.viewer_client", address.url, application, recording_id]
        self._process = subprocess.Popen(
            [*command, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def show(self, drawing: Drawing, timeout_s: float) -> None:
        """Draw, and return when the viewer has it.

        Raises
        ------
        ResourceError
            The viewer went away, or does not take the drawing in time. The link is of no more use.
        WrongDrawingError
            The drawing cannot be drawn. The link is as before.
        """
        deadline = time.monotonic() + timeout_s
        message = pickle.dumps(drawing)
        # A process that reads nothing would hold up the writing; killing it ends that.
        guard = threading.Timer(timeout_s, self._process.kill)
        guard.start()
        try:
            drawings = self._pipe(self._process.stdin)
            drawings.write(len(message).to_bytes(8, "little") + message)
            drawings.flush()
            answer = self._answer(deadline)
        except BrokenPipeError:
            answer = b""
        finally:
            guard.cancel()
            guard.join()
        if answer.startswith(CANNOT_BE_DRAWN):
            raise WrongDrawingError(f"it cannot be drawn: {answer[1:].decode(errors='replace')}")
        if answer != HAS_IT:
            is_late = time.monotonic() >= deadline
            why = f"it did not take a drawing within {timeout_s:g} s" if is_late else self._last_words()
            raise ResourceError(f"the viewer at {self._address} is lost: {why}")

    def check(self) -> None:
        """Raise ResourceError if the connection has ended, which is seen within half a second."""
        if self._process.poll() is not None:
            raise ResourceError(f"the viewer at {self._address} is lost: {self._last_words()}")

    def abort(self) -> None:
        """End the process at once, from any thread; `show` then raises."""
        self._process.kill()

    def close(self) -> None:
        """End the process, within a second; what was shown stays."""
        with suppress(BrokenPipeError):
            self._pipe(self._process.stdin).close()
        try:
            self._process.wait(2 * END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe(self._process.stdout).close()
        self._pipe(self._process.stderr).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, deadline: float) -> bytes:
        answers = self._pipe(self._process.stdout).fileno()
        poller = select.poll()
        poller.register(answers, select.POLLIN)
        return os.read(answers, 1 + MAX_WHY_BYTES) if poller.poll(max(0.0, deadline - time.monotonic()) * 1000) else b""

    def _last_words(self) -> str:
        self._process.kill()
        lines = self._pipe(self._process.stderr).read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "its connection ended"

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        if pipe is None:
            raise ValueError("the process was started without pipes")
        return pipe
