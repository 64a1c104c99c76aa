"""Ctrl-C in two steps: the first asks, the second ends the command."""

import signal
from types import FrameType, TracebackType
from typing import Self


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
        self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _take(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of signal handlers
        if self.has_come:
            raise KeyboardInterrupt
        self.has_come = True
