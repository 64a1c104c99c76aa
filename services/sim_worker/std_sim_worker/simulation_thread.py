"""SimulationThread: a thread that simulates events, many small ones in one call of the engine."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import DeviceError
from std_daq.photons.backend import Backend, Job
from std_daq.telemetry.logs import get_logger
from std_sim_worker.metrics import WorkerMetrics

THREAD_NAME = "simulation"
_N_PHOTONS_AT_ONCE = {"cuda": 1_000_000}
_N_PHOTONS_AT_ONCE_BY_DEFAULT = 100_000


def batch_photons(backend: Backend) -> int:
    """Return how many photons of small events an engine is given at a time."""
    return _N_PHOTONS_AT_ONCE.get(backend.name, _N_PHOTONS_AT_ONCE_BY_DEFAULT)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedEvent:
    """An event that is to be simulated.

    Parameters
    ----------
    token
        Whatever whoever hands in the event needs to know where its hits go.
    event_id
        Number of the event.
    key
        Selects the random numbers.
    n_photons
        Number of photons.
    load
        Returns the photons, records of `PHOTON`; called in the thread of the simulation.
    """

    token: Any
    event_id: int
    key: int
    n_photons: int
    load: Callable[[], NDArray[np.void]]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """An event and its hits, or None if the simulation raised."""

    event: SimulatedEvent
    hits: NDArray[np.void] | None


class SimulationThread:
    """Simulates events in the order in which they are handed in.

    Parameters
    ----------
    backend
        The engine.
    metrics
        The metrics of the process.
    """

    def __init__(self, backend: Backend, metrics: WorkerMetrics) -> None:
        self._backend = backend
        self._metrics = metrics
        self._max_photons = batch_photons(backend)
        self._events: deque[SimulatedEvent] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._has_work = threading.Condition()
        self._is_ending = False
        self._failure: DeviceError | None = None
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.n_events = 0
        self.n_photons = 0
        # A daemon: a call of the engine may take minutes, and the process ends without waiting for it.
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return a descriptor that can be read when there are outcomes, for a poller."""
        return self._wake

    @property
    def has_room(self) -> bool:
        """Whether more events would join the next call of the engine."""
        return self.n_photons < 2 * self._max_photons

    @property
    def n_waiting(self) -> int:
        """Number of events that the engine does not have yet."""
        return len(self._events)

    def hand_in(self, event: SimulatedEvent) -> None:
        """Let an event be simulated after those before it."""
        self.n_events += 1
        self.n_photons += event.n_photons
        with self._has_work:
            self._events.append(event)
            self._has_work.notify()

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes that have not been returned yet, in the order of the events.

        Raises
        ------
        DeviceError
            The GPU has failed, and nothing more will come. The process has to end: a GPU that has failed once is of
            no use to it, and router or clients have the events simulated elsewhere.
        """
        found = self._new_outcomes()
        if not found and self._failure is not None:
            raise self._failure
        return found

    def _new_outcomes(self) -> list[Outcome]:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        found = [self._outcomes.popleft() for _ in range(len(self._outcomes))]
        self.n_events -= len(found)
        self.n_photons -= sum(outcome.event.n_photons for outcome in found)
        return found

    def close(self, timeout_s: float) -> list[Outcome]:
        """Wait a while for the call of the engine that is under way, and return the last outcomes."""
        with self._has_work:
            self._is_ending = True
            self._has_work.notify()
        self._thread.join(timeout_s)
        found = self._new_outcomes()
        if not self._thread.is_alive():  # else it still uses the descriptor
            os.close(self._wake)
        return found

    def _run(self) -> None:
        while batch := self._next_batch():
            started_s = time.monotonic()
            try:
                self._outcomes.extend(self._simulate(batch))
            except DeviceError as error:
                self._failure = error
            self._metrics.busy_seconds.inc(time.monotonic() - started_s)
            os.eventfd_write(self._wake, 1)
            if self._failure is not None:
                return

    def _next_batch(self) -> list[SimulatedEvent]:
        with self._has_work:
            self._has_work.wait_for(lambda: self._events or self._is_ending)
            if self._is_ending:
                return []
            batch = [self._events.popleft()]
            n_photons = batch[0].n_photons
            while self._events and n_photons + self._events[0].n_photons <= self._max_photons:
                batch.append(self._events.popleft())
                n_photons += batch[-1].n_photons
            return batch

    def _simulate(self, batch: list[SimulatedEvent]) -> list[Outcome]:
        self._metrics.batches.inc()
        try:
            all_hits = self._backend.simulate([Job(event.key, event.load()) for event in batch])
        except DeviceError:
            raise
        except Exception:  # noqa: BLE001 - whatever the engine raises, the next event is simulated
            if len(batch) > 1:
                return [outcome for event in batch for outcome in self._simulate([event])]
            get_logger().exception("event_failed", event_id=batch[0].event_id, photons=batch[0].n_photons)
            self._metrics.failed.inc()
            return [Outcome(batch[0], None)]
        self._metrics.events.inc(len(batch))
        self._metrics.photons.inc(sum(event.n_photons for event in batch))
        self._metrics.hits.inc(sum(map(len, all_hits)))
        return [Outcome(event, hits) for event, hits in zip(batch, all_hits, strict=True)]
