"""AsyncWorker: accepts events at once, and writes their hits to a file for each run."""

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from std_daq.photons import protocol
from std_daq.photons.backend import Backend
from std_daq.photons.protocol import Frames, PhotonData, RunBegin, RunEnd
from std_daq.photons.records import NO_HITS, PHOTON
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_sim_worker.answers import Answers
from std_sim_worker.client_socket import ClientSocket
from std_sim_worker.metrics import WorkerMetrics
from std_sim_worker.options import WorkerOptions
from std_sim_worker.runs.finishing import WriteFile
from std_sim_worker.runs.run_folder import RunFolder
from std_sim_worker.runs.run_name import run_name
from std_sim_worker.runs.runs import Runs
from std_sim_worker.simulation_thread import Outcome, SimulatedEvent, SimulationThread

if TYPE_CHECKING:
    from pathlib import Path

_POLL_MS = 100
_DRAIN_S = 1.5
_STORE_AGAIN_S = 1.0
_MAX_STARTS = 5


class AsyncWorker:
    """Accepts events, and writes their hits to files.

    Parameters
    ----------
    options
        The options.
    output_directory
        Where the files go.
    backend
        The engine.
    metrics
        The metrics of the process.
    """

    is_ready = True

    def __init__(
        self, options: WorkerOptions, output_directory: "Path", backend: Backend, metrics: WorkerMetrics
    ) -> None:
        self._metrics = metrics
        self._answers = Answers(backend.channels, options.max_photons, options.ping_reply, metrics)
        ending, write_file = _file_kind(options.file_format)
        self._clients = ClientSocket(options.frontend, metrics, options.server_keys)
        self._runs = Runs(output_directory, ending, write_file, backend.channels)
        self._simulation = SimulationThread(backend, metrics)
        # Only places: the photons of events that wait are on disk.
        self._waiting: deque[tuple[RunFolder, int]] = deque()
        self._not_stored: deque[Outcome] = deque()
        self._store_again_s = 0.0
        self._conditions = ConditionLog()
        resumed = self._runs.all()
        for run in resumed:
            self._give_up_harmful(run)
            self._waiting.extend((run, place) for place in run.waiting())
        # Where a worker has died without having simulated an event, one at a time tells which of them it was.
        self._is_careful = any(run.n_starts > 1 and run.waiting() for run in resumed)
        self._asked_for_end: dict[RunFolder, list[bytes]] = {}
        metrics.is_connected.set(1)

    def step(self) -> None:
        """Take events, store hits, or wait for either."""
        self._clients.poll(_POLL_MS, self._simulation.fileno())
        self._store(self._simulation.outcomes())
        for client, frames in self._clients.requests():
            reply = self._reply_to(client, frames)
            if reply is not None:
                self._clients.answer([client], reply)
        while self._waiting and self._may_hand_in:
            self._simulate(*self._waiting.popleft())
        self._finish_runs()
        self._metrics.in_hand.set(self._simulation.n_events + len(self._waiting))

    def close(self) -> None:
        """Store what the engine does now, if that takes no longer than 1.5 s; the rest when a worker starts again."""
        self._store(self._simulation.close(_DRAIN_S))
        self._finish_runs()
        self._runs.close(_DRAIN_S)
        self._finish_runs()
        self._clients.close()

    @property
    def _may_hand_in(self) -> bool:
        if self._not_stored:
            return False
        return not self._simulation.n_events if self._is_careful else self._simulation.has_room

    def _reply_to(self, client: bytes, frames: Frames) -> Frames | None:
        match self._answers.read(frames):
            case RunBegin(name):
                return self._begin_run(run_name(name))
            case RunEnd():
                return self._end_run(client)
            case PhotonData(event_id, _):
                digest = protocol.digest_of(frames)
                if self._runs.knows(digest):
                    self._metrics.resent.inc()
                    return protocol.accepted_reply(event_id)
                return self._accept(event_id, digest, frames)
            case reply:
                return reply

    def _begin_run(self, name: str) -> Frames | None:
        try:
            self._runs.begin(name)
        except OSError as error:
            self._conditions.warning("run_not_begun", run=name, error=error.strerror)
            return None
        return [protocol.ACK]

    def _end_run(self, client: bytes) -> Frames | None:
        self._runs.end()
        if not self._runs.ended:
            return [protocol.ACK]
        clients = self._asked_for_end.setdefault(self._runs.ended[-1], [])
        if client not in clients:
            clients.append(client)
        return None

    def _finish_runs(self) -> None:
        self._runs.step(time.monotonic())
        for run in [run for run in self._asked_for_end if run not in self._runs.ended]:
            self._clients.answer(self._asked_for_end.pop(run), [protocol.ACK])

    def _simulate(self, run: RunFolder, place: int) -> None:
        try:
            digest, frames = run.request(place)
        except ValueError as error:
            get_logger().error("event_lost", run=run.name, place=place, error=str(error))
            self._metrics.failed.inc()
            # It waits for its turn like all others, because rows are stored in the order of events.
            self._simulation.hand_in(SimulatedEvent((run, None), 0, 0, 0, _no_photons))
            return
        match protocol.read_request([protocol.PHOTONDATA, *frames[1:]]):
            case PhotonData(event_id, n_photons):
                load = partial(protocol.photons_of, frames)
                key = protocol.job_key(digest)
                self._simulation.hand_in(SimulatedEvent((run, digest), event_id, key, n_photons, load))

    def _accept(self, event_id: int, digest: bytes, frames: Frames) -> Frames | None:
        try:
            run = self._runs.run_for_event()
            self._waiting.append((run, run.add(digest, frames)))
        except OSError as error:
            # Without an answer the client sends it again.
            self._conditions.warning("event_not_accepted", event_id=event_id, error=error.strerror)
            return None
        return protocol.accepted_reply(event_id)

    def _store(self, outcomes: list[Outcome]) -> None:
        """Store hits in the order of their events. An event that failed has a row without hits; the log names it."""
        self._not_stored.extend(outcomes)
        while self._not_stored and time.monotonic() >= self._store_again_s:
            outcome = self._not_stored[0]
            run, digest = outcome.event.token
            try:
                if digest is None:
                    run.store_lost()
                else:
                    run.store(digest, outcome.event.event_id, NO_HITS if outcome.hits is None else outcome.hits)
            except OSError as error:
                self._conditions.warning("hits_not_stored", run=run.name, error=error.strerror, again_s=_STORE_AGAIN_S)
                self._store_again_s = time.monotonic() + _STORE_AGAIN_S
                return
            self._not_stored.popleft()

    def _give_up_harmful(self, run: RunFolder) -> None:
        """Store no hits for an event with which a worker has died again and again."""
        if run.n_starts <= _MAX_STARTS or not run.waiting():
            return
        try:
            digest, frames = run.request(run.n_done)
        except ValueError:
            return  # its turn comes, and it is lost
        match protocol.read_request([protocol.PHOTONDATA, *frames[1:]]):
            case PhotonData(event_id, n_photons):
                get_logger().error(
                    "event_given_up", event_id=event_id, photons=n_photons, workers_lost=run.n_starts - 1
                )
                self._metrics.failed.inc()
                run.store(digest, event_id, NO_HITS)


def _no_photons() -> NDArray[np.void]:
    return np.zeros(0, PHOTON)


def _file_kind(file_format: str) -> tuple[str, WriteFile]:
    if file_format == "hdf5":
        from std_sim_worker.runs import hdf5_file

        return hdf5_file.ENDING, hdf5_file.write_hdf5
    from std_sim_worker.runs import root_file

    return root_file.ENDING, root_file.write_root
