"""ServiceLog: merges the log lines of several services, and makes them readable on a terminal."""

import json
from collections.abc import Sequence
from threading import Lock
from typing import TextIO

from structlog.dev import ConsoleRenderer

from std_daq.telemetry.logs import printable_event
from std_daq.telemetry.printable import printable, raw_stream
from std_daq.terminal import has_colours


class ServiceLog:
    """Writes the log lines of services, with the name of the service in front of each line.

    On a terminal, JSON lines become text. Elsewhere the lines are not changed, but for control characters, which are
    escaped.

    Parameters
    ----------
    output
        The stream to write to.
    instances
        Names of all services, which set the width of the first column.
    """

    def __init__(self, output: TextIO, instances: Sequence[str]) -> None:
        self._output = raw_stream(output)
        self._width = max(map(len, instances))
        self._renderer = ConsoleRenderer(colors=has_colours(output)) if output.isatty() else None
        self._lock = Lock()

    def write(self, instance: str, line: str) -> None:
        """Write a line of a service; any thread may call this."""
        with self._lock:
            self._output.write(f"{instance:<{self._width}} | {self._readable(line)}\n")
            self._output.flush()

    def _readable(self, line: str) -> str:
        if self._renderer is None:
            return printable(line)
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return printable(line)
        if not isinstance(event, dict) or "event" not in event:
            return printable(line)
        event.pop("service", None)  # the prefix of the line has it
        return str(self._renderer(None, "", printable_event(event)))
