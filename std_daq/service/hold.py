"""Holding: a service that cannot start stays, says why at its endpoint, and tries again.

This is for containers, where a service that ends is started again at once, ends again, and hides its one line of
reason under all the others. With STD_DAQ_HOLD=1 it stays instead: alive, not ready, with the reason in the answer.

Each attempt is a new start of the same process (exec), after which nothing is left of what a refused start had opened.
Only the reason goes on to it, so that the log tells each reason once. Lines of such an attempt are kept back until
it has started, or was refused for another reason.
"""

import io
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from std_daq.errors import PortError
from std_daq.service.presence import Presence
from std_daq.telemetry.logs import get_logger

VARIABLE = "STD_DAQ_HOLD"
LOOK_AGAIN_S = 10.0
SIGNALS = {signal.SIGTERM, signal.SIGINT}
_REASON_VARIABLE = "STD_DAQ_HELD_FOR"
# A wrong value is told whole, and may be a whole file; the environment takes 128 KiB.
_MAX_REASON_CHARS = 4000


class Hold:
    """Whether and how this process holds; made once, before anything is logged.

    Attributes
    ----------
    is_wanted
        Whether a service that cannot start is to stay.
    last_reason
        Why the attempt before this one was refused; None in the first one.
    log_file
        Where logs go; None for standard error.
    """

    def __init__(self) -> None:
        self.is_wanted = os.environ.get(VARIABLE) == "1"
        self.last_reason = os.environ.pop(_REASON_VARIABLE, None)
        self.log_file = None if self.last_reason is None else _KeptLines()

    def release_logs(self) -> None:
        """Write the lines that were kept back, and those that follow at once."""
        if self.log_file is not None:
            self.log_file.release()

    def wait(self, refusal: str, presence: Presence, stop: threading.Event) -> None:
        """Hold for a while, then start again as a new program; returns only when the service is told to end.

        Parameters
        ----------
        refusal
            Why it cannot start.
        presence
            Where it is told.
        stop
            Set when the service has been told to end.
        """
        refusal = refusal[:_MAX_REASON_CHARS]
        presence.readiness.reason = refusal
        with suppress(PortError):  # that is a reason to hold, too
            presence.appear_unnamed()
        if refusal != self.last_reason:
            get_logger().error("cannot_start", error=refusal, look_again_s=LOOK_AGAIN_S)
        elif self.log_file is not None:
            self.log_file.forget()
        self.release_logs()
        if stop.wait(LOOK_AGAIN_S):
            return
        # A signal that comes from now on waits for the new program to handle it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if not stop.is_set():
            _start_again(refusal)


class _KeptLines(io.StringIO):
    """Keeps lines back until they are released; from then on all go to standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._is_released = False

    def write(self, text: str) -> int:
        return sys.stderr.write(text) if self._is_released else super().write(text)

    def flush(self) -> None:
        if self._is_released:
            sys.stderr.flush()

    def forget(self) -> None:
        """Leave out what has been kept back."""
        self.seek(0)
        self.truncate()

    def release(self) -> None:
        """Keep nothing back any more."""
        if not self._is_released:
            self._is_released = True
            sys.stderr.write(self.getvalue())
            sys.stderr.flush()


def _start_again(reason: str) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[_REASON_VARIABLE] = reason
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - as it was started
