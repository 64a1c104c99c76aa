"""StandaloneWorker: a worker that clients connect to, and that sends hits back."""

import time
from functools import partial

from std_daq.photons import protocol
from std_daq.photons.backend import Backend
from std_daq.photons.protocol import Frames, PhotonData
from std_daq.photons.records import NO_HITS
from std_daq.photons.request_table import OpenRequest, RequestTable
from std_sim_worker.answers import Answers
from std_sim_worker.client_socket import ClientSocket
from std_sim_worker.metrics import WorkerMetrics
from std_sim_worker.options import WorkerOptions
from std_sim_worker.simulation_thread import Outcome, SimulatedEvent, SimulationThread

_POLL_MS = 100
_DRAIN_S = 2.5
_MAX_WAITING = 10_000


class StandaloneWorker:
    """Simulates what clients send.

    Parameters
    ----------
    options
        The options.
    backend
        The engine.
    metrics
        The metrics of the process.
    """

    is_ready = True

    def __init__(self, options: WorkerOptions, backend: Backend, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._answers = Answers(backend.channels, options.max_photons, options.ping_reply, metrics)
        self._clients = ClientSocket(options.frontend, metrics, options.server_keys)
        self._table = RequestTable(_MAX_WAITING)
        self._simulation = SimulationThread(backend, metrics)
        metrics.is_connected.set(1)

    def step(self) -> None:
        """Take requests, send replies, or wait for either."""
        self._clients.poll(_POLL_MS, self._simulation.fileno())
        self._reply(self._simulation.outcomes())
        for client, frames in self._clients.requests():
            reply = self._reply_to(client, frames)
            if reply is not None:
                self._clients.answer([client], reply)
        while self._simulation.has_room and self._table.next() is not None:
            self._simulate(self._table.start())
        self._table.replies.forget_old(time.monotonic())
        self._metrics.in_hand.set(len(self._table))

    def close(self) -> None:
        """Finish what the engine does now, if that takes no longer than 2.5 s; clients send the rest again."""
        self._reply(self._simulation.close(_DRAIN_S))
        self._clients.close()

    def _reply_to(self, client: bytes, frames: Frames) -> Frames | None:
        match self._answers.read(frames):
            case list() as reply:
                return reply
            case PhotonData(event_id, 0):
                return protocol.hits_reply(event_id, NO_HITS)
            case PhotonData(event_id, n_photons):
                request = OpenRequest(protocol.digest_of(frames), frames, n_photons, event_id)
                n_resent, n_refused = self._table.n_resent, self._table.n_refused
                known = self._table.take_in(client, request)
                self._metrics.resent.inc(self._table.n_resent - n_resent)
                self._metrics.refused.inc(self._table.n_refused - n_refused)
                return known
            case _:
                return [protocol.ACK]  # runs are the business of asynchronous workers

    def _simulate(self, request: OpenRequest) -> None:
        assert request.event_id is not None  # noqa: S101 - the table of a worker has only events
        load = partial(protocol.photons_of, request.frames)
        key = protocol.job_key(request.digest)
        self._simulation.hand_in(SimulatedEvent(request.digest, request.event_id, key, request.n_photons, load))

    def _reply(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            digest, event_id = outcome.event.token, outcome.event.event_id
            if outcome.hits is None:
                reply = protocol.failed_reply(event_id)
            else:
                reply = protocol.hits_reply(event_id, outcome.hits)
                self._table.replies.add(digest, reply, time.monotonic())
            self._clients.answer(self._table.finish(digest), reply)
