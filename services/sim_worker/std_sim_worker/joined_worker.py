"""JoinedWorker: a worker behind a router."""

import time
from functools import partial
from typing import Any

import zmq

from std_daq.photons import protocol
from std_daq.photons.backend import Backend
from std_daq.photons.endpoints import check_address
from std_daq.photons.protocol import PhotonData
from std_daq.photons.records import NO_HITS
from std_daq.photons.worker_identity import WorkerIdentity, process_name
from std_sim_worker.answers import Answers
from std_sim_worker.metrics import WorkerMetrics
from std_sim_worker.options import WorkerOptions
from std_sim_worker.router_link import RouterLink
from std_sim_worker.simulation_thread import Outcome, SimulatedEvent, SimulationThread, batch_photons

_POLL_MS = 100
_DRAIN_S = 2.5


class JoinedWorker:
    """Simulates what a router sends.

    Parameters
    ----------
    options
        The options.
    backend
        The engine.
    fingerprint
        Hash of what hits depend on besides the request.
    metrics
        The metrics of the process.
    """

    def __init__(self, options: WorkerOptions, backend: Backend, fingerprint: str, metrics: WorkerMetrics) -> None:
        assert options.router is not None  # noqa: S101 - a worker without a router is a StandaloneWorker
        check_address("--router", options.router)
        self._metrics = metrics
        self._answers = Answers(backend.channels, options.max_photons, options.ping_reply, metrics)
        self._simulation = SimulationThread(backend, metrics)
        description = WorkerIdentity(fingerprint, batch_photons(backend), process_name())
        self._link = RouterLink(options.router, description.to_bytes, time.monotonic, options.client_keys)

    @property
    def why_not_ready(self) -> str | None:
        """A worker is ready while its router is connected."""
        return None if self._link.is_connected else "its router does not answer"

    @property
    def is_ready(self) -> bool:
        """Whether the router is connected."""
        return self._link.is_connected

    def step(self) -> None:
        """Take requests, send replies, or wait for either."""
        self._link.poll(_POLL_MS, self._simulation.fileno())
        self._reply(self._simulation.outcomes())
        for message in self._link.receive(is_busy=self._simulation.n_events > 0):
            self._take(message)
        self._metrics.in_hand.set(self._simulation.n_events)
        self._metrics.is_connected.set(self._link.is_connected)

    def close(self) -> None:
        """Finish what the engine does now, if that takes no longer than 2.5 s; the router gives the rest to others."""
        self._reply(self._simulation.close(_DRAIN_S))
        self._link.close()

    def _take(self, message: list[zmq.Frame]) -> None:
        frames: list[Any] = [frame.buffer for frame in message]
        n_envelope = next((index + 1 for index, frame in enumerate(frames) if not len(frame)), 0)
        if not 1 < n_envelope < len(frames):
            self._metrics.malformed.inc()
            return
        envelope, request = [frame.bytes for frame in message[:n_envelope]], frames[n_envelope:]
        match self._answers.read(request):
            case list() as reply:
                self._link.reply(envelope, reply)
            case PhotonData(event_id, 0):
                self._link.reply(envelope, protocol.hits_reply(event_id, NO_HITS))
            case PhotonData(event_id, n_photons):
                key = protocol.job_key(protocol.digest_of(request))
                load = partial(protocol.photons_of, request)
                self._simulation.hand_in(SimulatedEvent(envelope, event_id, key, n_photons, load))
            case _:
                self._link.reply(envelope, [protocol.ACK])  # runs are the business of asynchronous workers

    def _reply(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._link.reply(outcome.event.token, reply_of(outcome))


def reply_of(outcome: Outcome) -> list[bytes]:
    """Return the reply with the hits of an event."""
    event_id = outcome.event.event_id
    return protocol.failed_reply(event_id) if outcome.hits is None else protocol.hits_reply(event_id, outcome.hits)
