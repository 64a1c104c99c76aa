"""WarningReader: what the services of a detector have warned of last."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel, Field

from std_daq.client.scrape import read_warnings
from std_daq.service.record import read_records
from std_web.detectors import WatchedDetector

_AT_ONCE = 8
_KEPT_S = 2.0
_TEXT = ("timestamp", "level", "event", "service")


class LogWarning(BaseModel):
    """One line of a log."""

    time: str = Field(description="When it was logged, in UTC (ISO 8601).")
    level: str = Field(description="warning or error.")
    service: str = Field(description="The process that logged it.")
    event: str = Field(description="What happened, as one word; the page on troubleshooting has it.")
    values: dict[str, str] = Field(default_factory=dict, description="Values of the line.")


class WarningReader:
    """Asks the services, at most once in two seconds; it may be used in any thread.

    Parameters
    ----------
    detector
        The detector.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(self, detector: WatchedDetector, clock: Callable[[], float] = time.monotonic) -> None:
        self._detector = detector
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at_s = float("-inf")
        self._lines: list[LogWarning] = []

    def read(self) -> list[LogWarning]:
        """Return the last warnings of all services that run, the newest first.

        Raises
        ------
        ConfigError
            The runtime directory is another user's.
        """
        with self._lock:
            if self._clock() - self._read_at_s >= _KEPT_S:
                self._lines = self._ask()
                self._read_at_s = self._clock()
            return self._lines

    def _ask(self) -> list[LogWarning]:
        records = read_records(self._detector.config)
        with ThreadPoolExecutor(_AT_ONCE, "warnings") as pool:
            answers = list(pool.map(read_warnings, [record.socket for record in records]))
        lines = [
            _line(line, record.instance) for record, answer in zip(records, answers, strict=True) for line in answer
        ]
        return sorted(lines, key=lambda line: line.time, reverse=True)


def _line(line: Mapping[str, str], instance: str) -> LogWarning:
    return LogWarning(
        time=line.get("timestamp", ""),
        level=line.get("level", "warning"),
        service=line.get("service", instance),
        event=line.get("event", ""),
        values={name: value for name, value in line.items() if name not in _TEXT},
    )
