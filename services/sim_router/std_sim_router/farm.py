"""Farm: the workers, and which of them has which request. It knows no sockets; time and sending are handed in."""

from collections.abc import Callable
from typing import Any

from std_daq.errors import SimulationError
from std_daq.photons.endpoints import Posted
from std_daq.photons.protocol import (
    DETECTOR_INFO,
    DIGEST_BYTES,
    HEARTBEAT,
    READY,
    SIM_COMPLETE,
    Frames,
    failed_reply,
)
from std_daq.photons.replies import read_detector_info
from std_daq.photons.request_table import OpenRequest, RequestTable
from std_daq.photons.worker_identity import WorkerIdentity
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_sim_router.connected_worker import ConnectedWorker

_N_ENVELOPE_FRAMES = 2
_MAX_POISON = 10_000


class Farm:
    """Gives requests to workers, takes replies, and notices which workers are gone.

    Parameters
    ----------
    table
        The requests.
    post
        Sends frames to the worker with an identity.
    answer
        Sends a reply to the connections that wait for it.
    max_attempts
        A request with which so many workers have died has failed.
    request_timeout_s
        A worker that finishes no request for so long is stuck, and its requests go to others.
    """

    def __init__(
        self,
        table: RequestTable,
        post: Callable[[bytes, Any], Posted],
        answer: Callable[[list[bytes], Frames], None],
        *,
        max_attempts: int,
        request_timeout_s: float,
    ) -> None:
        self._table = table
        self._post = post
        self._answer = answer
        self._max_attempts = max_attempts
        self._request_timeout_s = request_timeout_s
        self._workers: dict[bytes, ConnectedWorker] = {}
        self._fingerprint: str | None = None
        self._poison: dict[bytes, list[bytes]] = {}
        self._log = get_logger()
        self._conditions = ConditionLog()
        self.detector_info: list[bytes] | None = None
        self.n_completed = 0
        self.n_failed = 0
        self.n_moved = 0
        self.n_poison = 0
        self.n_deaths = 0
        self.n_late = 0
        self.n_strange = 0

    @property
    def workers(self) -> tuple[ConnectedWorker, ...]:
        """The workers that are connected."""
        return tuple(self._workers.values())

    @property
    def is_busy(self) -> bool:
        """Whether a worker has a request."""
        return any(worker.is_busy for worker in self._workers.values())

    def poison_reply(self, digest: bytes) -> list[bytes] | None:
        """Return the reply to a request that has ended too many workers, or None if it has not."""
        return self._poison.get(digest)

    def receive(self, identity: bytes, frames: Frames, now_s: float) -> None:
        """Take in what a worker has sent: READY, HEARTBEAT, or a reply in its envelope."""
        is_short = len(frames) == 1
        word = bytes(frames[0]) if is_short else b""
        if is_short and word not in {READY, HEARTBEAT}:
            self.n_strange += 1
            return
        worker = self._workers.get(identity)
        if worker is None:
            worker = self._admit(identity, now_s)
        elif word == READY and worker.is_busy:
            self._give_up(worker, "it began anew")
        worker.heard_s = now_s
        if is_short:
            worker.is_stuck = worker.is_stuck and worker.is_busy
        elif len(frames) <= _N_ENVELOPE_FRAMES or len(frames[1]) or len(frames[0]) > DIGEST_BYTES:
            self.n_strange += 1
        else:
            self._take_reply(worker, bytes(frames[0]), frames[_N_ENVELOPE_FRAMES:], now_s)

    def dispatch(self, now_s: float) -> None:
        """Give waiting requests to workers that can take them."""
        while (request := self._table.next()) is not None:
            able = [worker for worker in self._workers.values() if worker.can_take(request, now_s)]
            if not able:
                return
            worker = min(able, key=lambda one: (one.n_photons if one.is_busy else -1, one.progress_s))
            delivery = self._post(worker.identity, [request.digest, b"", *request.frames])
            if delivery is Posted.GONE:
                self._lose(worker)
            elif delivery is Posted.FULL:
                worker.is_stuck = True  # until it is heard again
            else:
                self._table.start()
                if not worker.is_busy:
                    worker.progress_s = now_s
                worker.in_hand[request.digest] = request

    def probe(self, now_s: float) -> None:
        """Send each worker a HEARTBEAT, which tells who is gone, and look for workers that are stuck."""
        for worker in self.workers:
            if self._post(worker.identity, [HEARTBEAT]) is Posted.GONE:
                self._lose(worker)
            elif worker.is_busy and not worker.is_stuck and now_s - worker.progress_s > self._request_timeout_s:
                worker.is_stuck = True
                self._give_up(worker, f"it has finished nothing for {self._request_timeout_s:g} s")

    def _admit(self, identity: bytes, now_s: float) -> ConnectedWorker:
        worker = ConnectedWorker(identity, now_s, WorkerIdentity.from_bytes(identity))
        self._workers[identity] = worker
        self._judge(worker)
        self._log.info("worker_came", worker=worker.name, workers=len(self._workers))
        return worker

    def _judge(self, worker: ConnectedWorker) -> None:
        """Refuse a worker whose hits would be others than those of the workers that are here."""
        if worker.description is None:
            return
        fingerprint = worker.description.fingerprint
        is_alone = not any(
            one.description is not None and not one.is_refused for one in self._workers.values() if one is not worker
        )
        if is_alone and fingerprint != self._fingerprint:
            if self._fingerprint is not None:
                self._log.info("geometry_changed", worker=worker.name)
                self._table.replies.clear()
                self.detector_info = None
            self._fingerprint = fingerprint
        worker.is_refused = fingerprint != self._fingerprint
        if worker.is_refused:
            self._log.warning("worker_refused", worker=worker.name, reason="its geometry or seed is not the farm's")

    def _lose(self, worker: ConnectedWorker) -> None:
        del self._workers[worker.identity]
        self.n_deaths += worker.is_busy
        self._log.info("worker_gone", worker=worker.name, workers=len(self._workers), in_hand=len(worker.in_hand))
        self._give_up(worker, "it is gone")
        if not self._workers:
            self.detector_info = None
        for one in self.workers:
            if one.is_refused:
                self._judge(one)

    def _give_up(self, worker: ConnectedWorker, reason: str) -> None:
        """Give the requests of a worker to others."""
        requests = [request for request in worker.in_hand.values() if self._table.is_open(request.digest)]
        worker.in_hand.clear()
        for request in requests:
            request.n_deaths += 1
            if request.n_deaths >= self._max_attempts and request.event_id is not None:
                self._fail(request, worker, reason)
            else:
                self.n_moved += 1
                self._table.put_back(request)
        if requests:
            self._conditions.warning("requests_moved", worker=worker.name, reason=reason, requests=len(requests))

    def _fail(self, request: OpenRequest, worker: ConnectedWorker, reason: str) -> None:
        assert request.event_id is not None  # noqa: S101 - only events are given up
        reply = failed_reply(request.event_id)
        self.n_poison += 1
        self._log.error(
            "event_given_up", event_id=request.event_id, photons=request.n_photons, workers_lost=request.n_deaths,
            last_worker=worker.name, reason=reason,
        )  # fmt: skip
        while len(self._poison) >= _MAX_POISON:
            del self._poison[next(iter(self._poison))]
        self._poison[request.digest] = reply
        self._answer(self._table.finish(request.digest), reply)

    def _take_reply(self, worker: ConnectedWorker, digest: bytes, reply: Frames, now_s: float) -> None:
        worker.in_hand.pop(digest, None)
        worker.progress_s = now_s
        worker.is_stuck = worker.is_stuck and worker.is_busy
        if worker.is_refused:
            self.n_late += 1
            return
        header = bytes(reply[0])
        if header == DETECTOR_INFO:
            self._learn_channels(reply)
        elif header == SIM_COMPLETE:
            # Also where nobody waits any more: a router that was started again gets replies to requests that it will
            # be sent once more.
            self._table.replies.add(digest, reply, now_s)
            self.n_completed += 1
        else:
            self.n_failed += 1
        self.n_late += not self._table.is_open(digest)
        self._answer(self._table.finish(digest), reply)

    def _learn_channels(self, reply: Frames) -> None:
        """Keep the channels that a worker tells for clients that ask later, if its reply tells any."""
        try:
            read_detector_info(reply)
        except SimulationError:
            self.n_strange += 1
            return
        self.detector_info = [bytes(frame) for frame in reply]
