"""SimRouter: the sockets of clients and of workers."""

import time
from collections.abc import Callable
from typing import Any

import zmq

from std_daq.photons import protocol
from std_daq.photons.endpoints import Posted, bind_router, bound_address, deliver, receive_all
from std_daq.photons.gate import Gate
from std_daq.photons.protocol import Frames
from std_daq.photons.request_table import OpenRequest, RequestTable
from std_daq.streams.zmq_places import ZmqPlaces
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_sim_router.farm import Farm
from std_sim_router.metrics import RouterMetrics
from std_sim_router.options import RouterOptions
from std_sim_router.router_pages import RouterPages

_POLL_MS = 100
_PROBE_S = 0.5
_DRAIN_S = 2.5
_N_ENVELOPE_FRAMES = 2


class SimRouter:
    """Gives requests of clients to workers, and replies back.

    Parameters
    ----------
    options
        Addresses and limits.
    metrics
        The metrics of the process.
    clock
        Returns monotonic time in seconds.

    Raises
    ------
    ArgumentError
        An address is none.
    PortError
        An address is in use.
    """

    def __init__(
        self, options: RouterOptions, metrics: RouterMetrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._ping_reply = [options.ping_reply.encode()]
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._gate = None if options.keys is None else Gate(self._context, options.keys)
        of_clients = None if options.has_plain_frontend else self._gate
        try:
            self._frontend, self._places_of_clients = bind_router(
                self._context, "--frontend", options.frontend, gate=of_clients
            )
            self._backend, self._places_of_workers = bind_router(
                self._context, "--backend", options.backend, pings=True, gate=self._gate
            )
        except BaseException:
            if self._gate is not None:
                self._gate.close()
            self._context.destroy(linger=0)
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._backend, zmq.POLLIN)
        self._poller.register(self._frontend, zmq.POLLIN)
        self.table = RequestTable(options.max_queued)
        self.farm = Farm(
            self.table,
            self._post,
            self._answer,
            max_attempts=options.max_attempts,
            request_timeout_s=options.request_timeout_s,
        )
        self.pages = RouterPages(self.farm, self.table, clock)
        self.documents = self.pages.documents()
        self._conditions = ConditionLog()
        self._next_probe_s = 0.0
        self.n_malformed = 0
        self.n_undelivered = 0
        get_logger().info("listening", frontend=bound_address(self._frontend), backend=bound_address(self._backend))

    @property
    def is_ready(self) -> bool:
        """A router is ready once its sockets are open, with or without workers."""
        return True

    def step(self) -> None:
        """Pass on what has come, or wait for it."""
        self._serve(_POLL_MS, takes_requests=True)
        self.farm.dispatch(self._clock())

    def close(self) -> None:
        """Wait a while for the replies to requests that workers have, then close the sockets."""
        deadline_s = self._clock() + _DRAIN_S
        try:
            while self.farm.is_busy and self._clock() < deadline_s:
                self._serve(_POLL_MS, takes_requests=False)
            if len(self.table):
                get_logger().warning("requests_left", requests=len(self.table), hint="clients send them again")
        finally:
            for places in (self._places_of_clients, self._places_of_workers):
                places.close()
            self._frontend.close()
            self._backend.close()
            if self._gate is not None:
                self._gate.close()
            self._context.term()

    def _serve(self, timeout_ms: int, *, takes_requests: bool) -> None:
        ready = dict(self._poller.poll(timeout_ms))
        for places in (self._places_of_clients, self._places_of_workers):
            places.look()
        now_s = self._clock()
        if self._backend in ready:
            for identity, *frames in self._received(self._backend, self._places_of_workers):
                self._places_of_workers.note_served(identity)
                self.farm.receive(identity.bytes, [frame.buffer for frame in frames], now_s)
        if takes_requests and self._frontend in ready:
            for message in self._received(self._frontend, self._places_of_clients):
                self._take_request(message)
        elif self._frontend in ready:
            time.sleep(0.01)  # while ending, requests stay where they are; the poll would return at once
        if now_s >= self._next_probe_s:
            self._next_probe_s = now_s + _PROBE_S
            self.farm.probe(now_s)
            self.table.replies.forget_old(now_s)
            if self.pages.wants_channels:
                self._ask_for_channels()
            self._metrics.update(
                self.farm,
                self.table,
                n_malformed=self.n_malformed,
                n_undelivered=self.n_undelivered,
                n_ended=self._places_of_clients.n_ended + self._places_of_workers.n_ended,
            )

    def _ask_for_channels(self) -> None:
        """Ask a worker for its channels, as for a client, but nobody gets the reply: who watches looks it up."""
        self.pages.wants_channels = False
        asked = [protocol.DETECTOR_INFO]
        request = OpenRequest(protocol.digest_of(asked), asked, 0, None)
        if self.farm.detector_info is None and self.farm.workers and not self.table.is_open(request.digest):
            self.table.take_in(b"", request)
            request.clients.clear()

    def _received(self, socket: "zmq.Socket[bytes]", places: ZmqPlaces) -> list[list[zmq.Frame]]:
        messages = receive_all(socket)
        places.look()  # a connection is known before its first message is
        return messages

    def _take_request(self, message: list[zmq.Frame]) -> None:
        if len(message) <= _N_ENVELOPE_FRAMES or len(message[1]):
            self.n_malformed += 1  # without an envelope nobody knows where a reply would go
            return
        client, frames = message[0].bytes, message[_N_ENVELOPE_FRAMES:]
        if protocol.is_request([frame.buffer for frame in frames]):
            self._places_of_clients.note_served(message[0])
        reply = self._reply_to(client, frames)
        if reply is not None:
            self._answer([client], reply)

    def _reply_to(self, client: bytes, message: list[zmq.Frame]) -> Frames | None:
        frames = [frame.buffer for frame in message]
        match protocol.read_request(frames):
            case protocol.Ping():
                return self._ping_reply
            case protocol.RunBegin() | protocol.RunEnd():
                return [protocol.ACK]
            case protocol.DetectorInfo():
                if self.farm.detector_info is not None:
                    return self.farm.detector_info
                asked = [protocol.DETECTOR_INFO]
                request = OpenRequest(protocol.digest_of(asked), asked, 0, None)
                return self.table.take_in(client, request, is_for_all=True)
            case protocol.PhotonData(event_id, n_photons):
                digest = protocol.digest_of(frames)
                poison = self.farm.poison_reply(digest)
                if poison is not None:
                    return poison
                request = OpenRequest(digest, message[: protocol.N_REQUEST_FRAMES], n_photons, event_id)
                reply = self.table.take_in(client, request)
                if reply == [protocol.NO_WORKERS]:
                    self._conditions.warning("queue_full", waiting=self.table.n_waiting, remedy="add workers")
                return reply
            case protocol.Malformed(reply):
                self.n_malformed += 1
                return reply

    def _answer(self, clients: list[bytes], reply: Frames) -> None:
        for client in clients:
            # A client that has gone, or reads nothing, asks again if it wants the reply, which is known then.
            self.n_undelivered += deliver(self._frontend, client, [b"", *reply]) is not Posted.DONE

    def _post(self, identity: bytes, frames: Any) -> Posted:
        return deliver(self._backend, identity, frames)
