"""Handlers for the signals that end a command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import NoReturn, Self

from std_daq.errors import EXIT_DONE, exit_code_of_signal
from std_daq.service.stop_event import StopEvent


class StopSignals:
    """Sets an event when SIGINT or SIGTERM arrives; the constructor installs the handlers.

    Attributes
    ----------
    event
        Set when a signal has arrived.
    exit_code
        Exit code of a command that the signal ended before its work was done; 0 if no signal has arrived.
    """

    def __init__(self) -> None:
        self.event = StopEvent()
        self.exit_code = EXIT_DONE
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of signal handlers
        self.exit_code = exit_code_of_signal(number)
        self.event.set()


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, so that a command that draws on a terminal gives it back as it was."""

    def end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of signal handlers
        raise SystemExit(exit_code_of_signal(number))

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class FirstInterrupt:
    """A context manager that notes the first SIGINT and raises KeyboardInterrupt only on the second.

    If the first SIGINT raised an exception while a request is being sent, the command would not know whether there is
    a run to kill.

    Attributes
    ----------
    has_come
        Whether the first SIGINT has arrived.
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
