"""Structured logs: each line has an event name and values. Lines are text on a terminal and JSON elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from std_daq.telemetry.printable import printable, printable_lines, printable_value, raw_stream
from std_daq.telemetry.recent_warnings import RECENT_WARNINGS
from std_daq.terminal import has_colours

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_OF_SEVERAL_LINES = {"exception", "stack"}


def configure_logs(
    level: str = "info", *, service: str | None = None, json: bool | None = None, file: TextIO | None = None
) -> None:
    """Send logs to standard error, or to a file.

    Parameters
    ----------
    level
        One of ``debug``, ``info``, ``warning``, ``error``.
    service
        Name of the service, added to every line.
    json
        Whether a line is a JSON object; None: where standard error is not a terminal.
    file
        Receives the lines instead of standard error.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    # JSON has only ASCII characters, and escapes all others.
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer(default=str)]
        if as_json
        else [
            lambda _, __, event: printable_event(event),
            structlog.dev.ConsoleRenderer(
                colors=has_colours(raw_stream(sys.stderr)), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *([_name_service(service)] if service else []),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            RECENT_WARNINGS.add,
            structlog.processors.format_exc_info,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=file or raw_stream(sys.stderr)),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()


def _name_service(service: str) -> structlog.typing.Processor:
    """Return a processor that names the service; unlike a context variable, it also does so in other threads."""

    def add_service(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        line.setdefault("service", service)
        return line

    return add_service


def printable_event(event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return the values of a log line so that a terminal can show them: none of them controls it."""
    return {
        printable(key): printable_lines(str(value)) if key in _OF_SEVERAL_LINES else printable_value(value)
        for key, value in event.items()
    }


def get_logger() -> FilteringBoundLogger:
    """Return the logger, to be used as in ``log.warning("ring_overrun", image_id=7, lag=3)``.

    If nobody has called `configure_logs`, as in a user's script, the logger shows only warnings and errors.
    """
    if not structlog.is_configured():
        configure_logs("warning")
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


class ConditionLog:
    """Log that writes at most one line per condition and period.

    Example: a ring is overrun 500 times within a second. The first time is logged at once; the next line, a second
    later, has ``held_back=499``.

    Parameters
    ----------
    period_s
        Shortest time between two lines of the same condition, in seconds.
    clock
        Returns monotonic time in seconds.
    """

    def __init__(self, period_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._clock = clock
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}
        self._log = get_logger()

    def warning(self, condition: str, **values: object) -> None:
        """Log a warning, unless the same condition was logged less than a period ago."""
        now = self._clock()
        if now - self._last.get(condition, -self._period_s) < self._period_s:
            self._held[condition] = self._held.get(condition, 0) + 1
            return
        self._last[condition] = now
        held = self._held.pop(condition, 0)
        if held:
            values["held_back"] = held
        self._log.warning(condition, **values)
