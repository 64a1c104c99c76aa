"""ServiceLog: the log lines of several services as one, for people where a person reads them."""

import json
from collections.abc import Sequence
from threading import Lock
from typing import TextIO

from structlog.dev import ConsoleRenderer


class ServiceLog:
    """Writes the lines of services, each with the service's name in front.

    On a terminal JSON becomes text; elsewhere lines stay as they are.

    Parameters
    ----------
    output
        Where to.
    instances
        Names of the services.
    """

    def __init__(self, output: TextIO, instances: Sequence[str]) -> None:
        self._output = output
        self._width = max(map(len, instances))
        self._renderer = ConsoleRenderer() if output.isatty() else None
        self._lock = Lock()

    def write(self, instance: str, line: str) -> None:
        """Write a line of a service; any thread may."""
        with self._lock:
            self._output.write(f"{instance:<{self._width}} | {self._readable(line)}\n")
            self._output.flush()

    def _readable(self, line: str) -> str:
        if self._renderer is None:
            return line
        try:
            event = json.loads(line)
        except ValueError:
            return line
        if not isinstance(event, dict) or "event" not in event:
            return line
        event.pop("service", None)  # it stands in front
        return str(self._renderer(None, "", event))
