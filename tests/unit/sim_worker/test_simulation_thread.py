import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from std_daq.errors import DeviceError
from std_daq.photons.backend import Channels, Job
from std_daq.photons.records import HIT, PHOTON
from std_sim_worker.metrics import WorkerMetrics
from std_sim_worker.simulation_thread import Outcome, SimulatedEvent, SimulationThread
from std_test_kit.wait import wait_until


class CountingBackend:
    """An engine that detects each photon in the channel that the job's key says.

    It fails for key 13; for key 14 its GPU fails.
    """

    name = "counting"
    channels = Channels(np.zeros((0, 3), np.float32), np.zeros(0, np.int32))

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.may_go = threading.Event()

    def simulate(self, jobs: Sequence[Job]) -> list[NDArray[np.void]]:
        self.may_go.wait(10)
        self.calls.append(len(jobs))
        if any(job.key == 13 for job in jobs):
            raise ValueError("thirteen")
        if any(job.key == 14 for job in jobs):
            raise DeviceError("GPU 0 has stopped")
        hits = [np.zeros(len(job.photons), HIT) for job in jobs]
        for job, found in zip(jobs, hits, strict=True):
            found["channel"] = job.key
        return hits


@pytest.fixture
def backend() -> CountingBackend:
    return CountingBackend()


@pytest.fixture
def simulation(backend: CountingBackend) -> Iterator[SimulationThread]:
    simulation = SimulationThread(backend, WorkerMetrics(CollectorRegistry()))
    yield simulation
    backend.may_go.set()
    simulation.close(10)


def event(key: int, n_photons: int = 3) -> SimulatedEvent:
    return SimulatedEvent(f"token {key}", key, key, n_photons, lambda: np.zeros(n_photons, PHOTON))


def outcomes(simulation: SimulationThread, n: int) -> list[Outcome]:
    found: list[Outcome] = []

    def are_all_there() -> bool:
        found.extend(simulation.outcomes())
        return len(found) >= n

    wait_until(are_all_there, 10)
    return found


def test_events_that_wait_are_simulated_in_one_call_and_come_out_in_their_order(
    backend: CountingBackend, simulation: SimulationThread
) -> None:
    simulation.hand_in(event(0))
    wait_until(lambda: simulation.n_waiting == 0, 10)
    for key in range(1, 10):
        simulation.hand_in(event(key))
    backend.may_go.set()
    found = outcomes(simulation, 10)
    assert backend.calls == [1, 9]
    assert [one.event.token for one in found] == [f"token {key}" for key in range(10)]
    assert all(one.hits is not None and one.hits["channel"].tolist() == [one.event.key] * 3 for one in found)
    assert (simulation.n_events, simulation.n_photons) == (0, 0)


def test_event_that_fails_takes_no_other_with_it(backend: CountingBackend, simulation: SimulationThread) -> None:
    simulation.hand_in(event(0))
    wait_until(lambda: simulation.n_waiting == 0, 10)
    for key in (12, 13, 15):
        simulation.hand_in(event(key))
    backend.may_go.set()
    found = outcomes(simulation, 4)
    assert [one.event.key for one in found if one.hits is None] == [13]
    assert [one.event.key for one in found] == [0, 12, 13, 15]


def test_call_has_no_more_photons_than_a_batch_but_for_one_large_event(
    backend: CountingBackend, simulation: SimulationThread
) -> None:
    backend.may_go.set()
    for n_photons in (60_000, 60_000, 500_000):
        simulation.hand_in(event(1, n_photons))
    outcomes(simulation, 3)
    assert backend.calls == [1, 1, 1]


def test_a_gpu_that_fails_ends_the_worker_and_fails_no_event(
    backend: CountingBackend, simulation: SimulationThread
) -> None:
    backend.may_go.set()
    simulation.hand_in(event(1))
    assert outcomes(simulation, 1)[0].hits is not None
    simulation.hand_in(event(14))
    simulation.hand_in(event(2))
    with pytest.raises(DeviceError, match="GPU 0 has stopped"):
        outcomes(simulation, 1)
    # Both are still in hand, so nobody is told that they failed.
    assert simulation.n_events == 2
