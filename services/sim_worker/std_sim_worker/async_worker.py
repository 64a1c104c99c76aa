"""AsyncWorker: accepts events at once, and writes their hits to a file for each run."""

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from std_daq.photons import protocol
from std_daq.photons.backend import Backend
from std_daq.photons.protocol import Frames, PhotonData, RunBegin, RunEnd
from std_daq.photons.records import NO_HITS
from std_sim_worker.answers import Answers
from std_sim_worker.client_socket import ClientSocket
from std_sim_worker.metrics import WorkerMetrics
from std_sim_worker.options import WorkerOptions
from std_sim_worker.runs.finishing import WriteFile
from std_sim_worker.runs.run_folder import RunFolder
from std_sim_worker.runs.run_name import run_name
from std_sim_worker.runs.runs import Runs
from std_sim_worker.simulation_thread import Event, Outcome, SimulationThread

if TYPE_CHECKING:
    from pathlib import Path

_POLL_MS = 100
_DRAIN_S = 1.5


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
        self._clients = ClientSocket(options.frontend, metrics)
        self._runs = Runs(output_directory, ending, write_file, backend.channels)
        self._simulation = SimulationThread(backend, metrics)
        # Only places: the photons of events that wait are on disk.
        self._waiting: deque[tuple[RunFolder, int]] = deque()
        for run in (*self._runs.ended, *([self._runs.current] if self._runs.current is not None else [])):
            self._waiting.extend((run, place) for place in run.waiting())
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
        while self._waiting and self._simulation.has_room:
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

    def _reply_to(self, client: bytes, frames: Frames) -> Frames | None:
        match self._answers.read(frames):
            case RunBegin(name):
                self._runs.begin(run_name(name))
                return [protocol.ACK]
            case RunEnd():
                return self._end_run(client)
            case PhotonData(event_id, _):
                digest = protocol.digest_of(frames)
                if self._runs.knows(digest):
                    self._metrics.resent.inc()
                else:
                    run = self._runs.run_for_event()
                    self._waiting.append((run, run.add(digest, frames)))
                return protocol.accepted_reply(event_id)
            case reply:
                return reply

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
        digest, frames = run.request(place)
        match protocol.read_request([protocol.PHOTONDATA, *frames[1:]]):
            case PhotonData(event_id, n_photons):
                load = partial(protocol.photons_of, frames)
                key = protocol.job_key(digest)
                self._simulation.hand_in(Event((run, digest), event_id, key, n_photons, load))

    def _store(self, outcomes: list[Outcome]) -> None:
        """Store hits in the order of their events. An event that failed has a row without hits; the log names it."""
        for outcome in outcomes:
            run, digest = outcome.event.token
            run.store(digest, outcome.event.event_id, NO_HITS if outcome.hits is None else outcome.hits)


def _file_kind(file_format: str) -> tuple[str, WriteFile]:
    if file_format == "hdf5":
        from std_sim_worker.runs import hdf5_file

        return hdf5_file.ENDING, hdf5_file.write_hdf5
    from std_sim_worker.runs import root_file

    return root_file.ENDING, root_file.write_root
