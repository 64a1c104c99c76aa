"""RecentWarnings: the last warnings and errors that this process has logged, for whoever asks its endpoint.

A service's log may be on another machine, or behind a container engine. What it warned of last is at ``/warnings`` of
its endpoint as well.
"""

import json
from collections import deque
from collections.abc import MutableMapping
from threading import Lock
from typing import Any

MAX_WARNINGS = 100
_MAX_TEXT = 500
_MAX_VALUES = 16
_KEPT = frozenset({"warning", "error", "critical"})


class RecentWarnings:
    """Keeps the last warnings; it may be used in any thread."""

    def __init__(self) -> None:
        self._lines: deque[dict[str, str]] = deque(maxlen=MAX_WARNINGS)
        self._lock = Lock()

    def add(self, _: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Keep a line if it is a warning; a processor of structlog."""
        if line.get("level") in _KEPT:
            names = [*dict.fromkeys(("timestamp", "level", "event", "service", *line))][:_MAX_VALUES]
            kept = {str(name): str(line[name])[:_MAX_TEXT] for name in names if name in line and name != "exc_info"}
            with self._lock:
                self._lines.append(kept)
        return line

    def lines(self) -> list[dict[str, str]]:
        """Return the last `MAX_WARNINGS` warnings, the oldest first: the values of each line, as texts."""
        with self._lock:
            return list(self._lines)

    def to_json(self) -> bytes:
        """Return the lines as JSON."""
        return json.dumps(self.lines()).encode()


RECENT_WARNINGS = RecentWarnings()
"""Those of this process."""
