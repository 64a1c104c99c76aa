"""StateReader: reads all that is known of a detector at one time."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from std_daq.client.scrape import Scrape, scrape
from std_daq.client.status import DetectorStatus, StatusReader
from std_daq.errors import SharedMemoryError, StdDaqError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.reception import PortReception, describe_reception, read_receptions, since
from std_daq.service.registry import wanted_instances
from std_web.detectors import WatchedDetector
from std_web.state.disk_room import DiskForecast, DiskRoom
from std_web.state.module_counts import ModuleCounts, ModuleWatch
from std_web.state.ring_past import RingPast, look_at


@dataclass(frozen=True, slots=True)
class StateReading:
    """All that is known of a detector at one time.

    Parameters
    ----------
    status
        What the services tell, as ``std-daq status`` shows it.
    absent
        Services that the configuration needs, and that do not run.
    modules, disks, past
        Counts of the modules, room of the disks, and what the ring of images holds, if there is one.
    remarks
        What was wrong with the packets that came within a minute, in words.
    metrics
        Sums of other metrics, by name.
    """

    status: DetectorStatus
    absent: tuple[str, ...]
    modules: tuple[ModuleCounts, ...]
    disks: tuple[DiskRoom, ...]
    past: RingPast | None
    remarks: tuple[str, ...]
    metrics: dict[str, float]


_WINDOW_S, _STEP_S = 60.0, 5.0

SUMMED = (
    "daq_builder_events_total",
    "daq_builder_connected",
    "daq_calibration_refused",
    "daq_replica_sources",
    "daq_requests_queued",
    "daq_run_backlog_images",
)


class StateReader:
    """Reads the state of one detector repeatedly, in one thread.

    Parameters
    ----------
    detector
        The detector.
    clock
        Returns the time in seconds since 1970.
    """

    def __init__(self, detector: WatchedDetector, clock: Callable[[], float] = time.time) -> None:
        self._detector = detector
        self._config = detector.config
        self._clock = clock
        self._begin()

    def read(self) -> StateReading:
        """Ask all services; waits for those that do not answer for as long as ``std-daq status`` does.

        Raises
        ------
        StdDaqError
            The runtime directory is another user's, or the configuration names a service that is not installed.
        """
        if self._detector.config is not self._config:
            self._config = self._detector.config
            self._begin()
        self._scrapes.clear()
        status = self._statuses.read()
        answers = list(self._scrapes.values())
        running = {service.instance for service in status.services}
        n_modules = self._config.n_modules if isinstance(self._config, DetectorConfig) else 0
        return StateReading(
            status=status,
            absent=tuple(name for name in self._wanted if name not in running),
            modules=tuple(self._modules.look(status.time_s, answers, n_modules)),
            disks=tuple(self._disks.look(status.time_s, answers, status.writing.bytes_per_s)),
            past=self._past(),
            remarks=self._remarks(status.time_s),
            metrics={
                name: sum(answer.total(name) for answer in answers)
                for name in SUMMED
                if any(answer.has(name) for answer in answers)
            },
        )

    def _begin(self) -> None:
        self._scrapes: dict[Path, Scrape] = {}
        self._statuses = StatusReader(self._config, self._ask, self._clock)
        self._modules = ModuleWatch()
        self._disks = DiskForecast()
        self._receptions: deque[tuple[float, list[PortReception]]] = deque()
        self._wanted: tuple[str, ...] = ()
        with suppress(StdDaqError):  # `std-daq up` tells it
            self._wanted = tuple(one.instance.name for one in wanted_instances(self._config))

    def _ask(self, socket: Path) -> Scrape:
        answer = scrape(socket)
        self._scrapes[socket] = answer
        return answer

    def _remarks(self, time_s: float) -> tuple[str, ...]:
        seen = read_receptions(self._config)
        if not self._receptions or time_s - self._receptions[-1][0] >= _STEP_S:
            self._receptions.append((time_s, seen))
        while len(self._receptions) > 1 and self._receptions[0][0] < time_s - _WINDOW_S:
            self._receptions.popleft()
        return tuple(describe_reception(since(self._receptions[0][1], seen), is_quiet_told=False))

    def _past(self) -> RingPast | None:
        with suppress(SharedMemoryError):
            ring = self._detector.ring()
            return None if ring is None else look_at(ring)
        return None
