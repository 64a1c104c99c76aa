"""StatePoller: reads the state of a detector once a second, judges it, and keeps its figures of the last minutes."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Self

from std_daq.errors import StdDaqError
from std_daq.telemetry.logs import ConditionLog
from std_web.detectors import WatchedDetector
from std_web.state.findings import StateFinding, judge
from std_web.state.history import History
from std_web.state.reading import StateReader, StateReading
from std_web.step_thread import StepThread

PERIOD_S = 1.0
HISTORY_S = 900
_COMPARED_S = 30.0
_N_COMPARED = 40
# A finding of which nothing was seen for so long is over; counters that grow in bursts would make it come and go.
_OVER_S = 5.0

SERIES = (
    "packets_per_s",
    "packets_lost",
    "kernel_drops",
    "images_per_s",
    "images_not_good",
    "images_lost",
    "ring_occupancy",
    "ring_seconds",
    "written_images_per_s",
    "written_bytes_per_s",
    "writer_lost",
    "disk_free_bytes",
    "broker_connected",
    "sent_images_per_s",
    "replication_lag",
    "services_ready",
    "cpu_cores",
    "memory_bytes",
    "events_total",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding, and since when it holds, in seconds since 1970."""

    finding: StateFinding
    since_s: float


@dataclass(frozen=True, slots=True)
class DetectorState:
    """The newest reading of a detector, judged.

    Parameters
    ----------
    reading
        The reading; None before the first, or if reading is impossible.
    findings
        What is wrong, the worst first.
    problem
        Why nothing can be read; empty if it can.
    """

    reading: StateReading | None
    findings: tuple[Judged, ...]
    problem: str = ""


class StatePoller(AbstractAsyncContextManager["StatePoller"]):
    """Reads the state of one detector in a thread of its own; entered and left by the service's event loop.

    Parameters
    ----------
    detector
        The detector.
    clock
        Returns the time in seconds since 1970.
    """

    def __init__(self, detector: WatchedDetector, clock: Callable[[], float] = time.time) -> None:
        self._detector = detector
        self._clock = clock
        self._reader = StateReader(detector, clock)
        self._history = History(SERIES, HISTORY_S)
        self._since: dict[str, tuple[float, float]] = {}
        self._readings: deque[StateReading] = deque(maxlen=_N_COMPARED)
        self._state = DetectorState(None, (), "nothing has been read yet")
        self._lock = threading.Lock()
        self._conditions = ConditionLog(60.0)
        self._thread = StepThread(f"state-{detector.name}", self.step, period_s=PERIOD_S, failed=self._disturbed)

    @property
    def state(self) -> DetectorState:
        """The newest state; it may be asked for in any thread."""
        return self._state

    def history(self, seconds: float) -> tuple[list[float], dict[str, list[float | None]]]:
        """Return the figures of the last seconds; it may be called in any thread."""
        with self._lock:
            return self._history.since(self._clock() - seconds)

    def step(self) -> None:
        """Read the state once."""
        try:
            reading = self._reader.read()
        except StdDaqError as error:
            self._conditions.warning("state_unreadable", detector=self._detector.name, error=str(error))
            self._state = DetectorState(None, (), str(error))
            return
        self._readings.append(reading)
        now_s = reading.status.time_s
        found = list(judge(self._detector.config, reading, self._reading_before(now_s - _COMPARED_S)))
        self._state = DetectorState(reading, self._judged(found, now_s))
        with self._lock:
            self._history.add(now_s, _figures(reading, self._readings))

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._thread.end()

    def _disturbed(self, error: Exception) -> None:
        self._conditions.warning("state_unreadable", detector=self._detector.name, error=repr(error))
        self._state = DetectorState(None, (), f"an error that nobody has foreseen: {error!r}")

    def _reading_before(self, time_s: float) -> StateReading | None:
        """Return the newest reading that is older than a time, or the oldest one there is, but for the newest."""
        older = [reading for reading in self._readings if reading.status.time_s <= time_s]
        if older:
            return older[-1]
        return self._readings[0] if len(self._readings) > 1 else None

    def _judged(self, found: list[StateFinding], now_s: float) -> tuple[Judged, ...]:
        for finding in found:
            first, last = self._since.get(finding.key, (now_s, now_s))
            self._since[finding.key] = (first if now_s - last <= _OVER_S else now_s, now_s)
        self._since = {key: times for key, times in self._since.items() if now_s - times[1] <= _OVER_S}
        judged = [Judged(finding, self._since[finding.key][0]) for finding in found]
        return tuple(sorted(judged, key=lambda one: (one.finding.level != "problem", one.since_s)))


def _figures(reading: StateReading, readings: "deque[StateReading]") -> dict[str, float | None]:
    status = reading.status
    before = readings[-2].status if len(readings) > 1 else None
    good = status.images.by_status.get("good", 0)
    cpu_s = sum(service.cpu_s or 0.0 for service in status.services)
    cores = None
    if before is not None and status.time_s > before.time_s:
        grown = cpu_s - sum(service.cpu_s or 0.0 for service in before.services)
        cores = grown / (status.time_s - before.time_s) if grown >= 0 else None
    return {
        "packets_per_s": status.packets.received_per_s,
        "packets_lost": status.packets.lost,
        "kernel_drops": status.packets.kernel_drops,
        "images_per_s": status.images.per_s,
        "images_not_good": status.images.total - good,
        "images_lost": status.images.lost,
        "ring_occupancy": max((ring.occupancy for ring in status.rings), default=None),
        "ring_seconds": None if reading.past is None else reading.past.seconds,
        "written_images_per_s": status.writing.images_per_s,
        "written_bytes_per_s": status.writing.bytes_per_s,
        "writer_lost": status.writing.lost,
        "disk_free_bytes": min((disk.free_bytes for disk in reading.disks), default=None),
        "broker_connected": float(not status.run.broker) if status.run.state else None,
        "sent_images_per_s": status.replication.sent_per_s,
        "replication_lag": max(status.replication.lag.values(), default=None),
        "services_ready": sum(service.is_ready for service in status.services),
        "cpu_cores": cores,
        "memory_bytes": sum(service.memory_bytes or 0 for service in status.services),
        "events_total": reading.metrics.get("daq_builder_events_total"),
    }
