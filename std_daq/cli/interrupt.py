"""What commands do about signals that want them to end."""

import signal
from types import FrameType, TracebackType
from typing import Self

from std_daq.errors import EXIT_DONE, exit_code_of_signal
from std_daq.service.stop_event import StopEvent


class StopSignals:
    """Sets an event on SIGINT and SIGTERM, from its making on.

    Attributes
    ----------
    event
        Set once one has come.
    exit_code
        That of a command which the signal ended before its work was done; 0 while none has come.
    """

    def __init__(self) -> None:
        self.event = StopEvent()
        self.exit_code = EXIT_DONE
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of signal handlers
        self.exit_code = exit_code_of_signal(number)
        self.event.set()


class FirstInterrupt:
    """Notes the first SIGINT and lets the second one be a KeyboardInterrupt; a context manager.

    An exception in the middle of sending a request would leave it unknown whether there is a run to be ended.

    Attributes
    ----------
    has_come
        Whether the first one has come.
    """

    def __init__(self) -> None:
        self.has_come = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of signal handlers
        if self.has_come:
            raise KeyboardInterrupt
        self.has_come = True
