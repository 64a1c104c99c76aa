"""Hold: a service that cannot start keeps running, reports the reason at its endpoint, and tries again.

This is for containers. Without it, the container engine restarts a service that ends, the service ends again, and its
reason is buried in the log. With STD_DAQ_HOLD=1 the process stays: it is alive but not ready, and its endpoint gives
the reason.

Each attempt replaces the program of the process (exec), which closes everything that the failed start had opened. Only
the reason is passed on, so that the log has each reason once. The log lines of an attempt are held back until it has
started or has failed for another reason.
"""

import io
import os
import signal
import sys
import threading
from contextlib import suppress

from std_daq.errors import PortError
from std_daq.service.presence import Presence
from std_daq.telemetry.logs import get_logger

VARIABLE = "STD_DAQ_HOLD"
LOOK_AGAIN_S = 10.0
SIGNALS = {signal.SIGTERM, signal.SIGINT}
_REASON_VARIABLE = "STD_DAQ_HELD_FOR"
# The reason quotes a wrong value, which may be as long as a file; a variable of the environment is limited to 128 KiB.
_MAX_REASON_CHARS = 4000


class Hold:
    """Holds this process if it cannot start; made once, before the first log line.

    Attributes
    ----------
    is_wanted
        Whether a service that cannot start holds.
    last_reason
        Why the attempt before this one failed; None in the first attempt.
    log_file
        Where the logs are written; None for standard error.
    """

    def __init__(self) -> None:
        self.is_wanted = os.environ.get(VARIABLE) == "1"
        self.last_reason = os.environ.pop(_REASON_VARIABLE, None)
        self.log_file = None if self.last_reason is None else _KeptLines()

    def release_logs(self) -> None:
        """Write the lines that were held back; later lines are written at once."""
        if self.log_file is not None:
            self.log_file.release()

    def wait(self, refusal: str, presence: Presence, stop: threading.Event) -> None:
        """Hold for a while, then start the program again; returns only if the service is told to stop.

        Parameters
        ----------
        refusal
            Why the service cannot start.
        presence
            The presence whose endpoint reports the reason.
        stop
            Set when the service has been told to stop.
        """
        refusal = refusal[:_MAX_REASON_CHARS]
        presence.readiness.reason = refusal
        with suppress(PortError):  # a port that cannot be opened is a reason to hold, too
            presence.appear_unnamed()
        if refusal != self.last_reason:
            get_logger().error("cannot_start", error=refusal, look_again_s=LOOK_AGAIN_S)
        elif self.log_file is not None:
            self.log_file.forget()
        self.release_logs()
        if stop.wait(LOOK_AGAIN_S):
            return
        start_again(stop, refusal)


class _KeptLines(io.StringIO):
    """Holds lines back until they are released; after that it writes all lines to standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._is_released = False

    def write(self, text: str) -> int:
        return sys.stderr.write(text) if self._is_released else super().write(text)

    def flush(self) -> None:
        if self._is_released:
            sys.stderr.flush()

    def forget(self) -> None:
        """Discard the lines that were held back."""
        self.seek(0)
        self.truncate()

    def release(self) -> None:
        """Write the lines that were held back, and hold back no more."""
        if not self._is_released:
            self._is_released = True
            sys.stderr.write(self.getvalue())
            sys.stderr.flush()


def start_again(stop: threading.Event, reason: str | None = None) -> None:
    """Replace this program by itself, with the same command line; returns only if it has been told to stop.

    Parameters
    ----------
    stop
        Set when the service has been told to stop.
    reason
        Why the service could not start; None if it had started.
    """
    # A signal that arrives from now on stays pending until the new program handles it.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    if stop.is_set():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    if reason is not None:
        os.environ[_REASON_VARIABLE] = reason
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the command line of this process
