"""ClientSocket: where clients connect to a worker without a router."""

from collections.abc import Iterator

import zmq

from std_daq.photons.endpoints import Posted, bind_router, bound_address, deliver, receive_all
from std_daq.photons.gate import Gate
from std_daq.photons.keys import ServerKeys
from std_daq.photons.protocol import Frames, is_request
from std_daq.telemetry.logs import get_logger
from std_sim_worker.metrics import WorkerMetrics

_N_ENVELOPE_FRAMES = 2


class ClientSocket:
    """A ROUTER socket, on the wire the same as the REP of other workers; it can answer while the engine is busy.

    Parameters
    ----------
    address
        Where clients connect.
    metrics
        The metrics of the process.
    keys
        Of this server and its clients; None: clients connect in plain.

    Raises
    ------
    ArgumentError
        The address is none.
    PortError
        The address is in use.
    """

    def __init__(self, address: str, metrics: WorkerMetrics, keys: ServerKeys | None = None) -> None:
        self._metrics = metrics
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._gate = None if keys is None else Gate(self._context, keys)
        try:
            self._socket, self._places = bind_router(self._context, "--frontend", address, gate=self._gate)
        except BaseException:
            if self._gate is not None:
                self._gate.close()
            self._context.destroy(linger=0)
            raise
        get_logger().info("listening", frontend=bound_address(self._socket))

    def poll(self, timeout_ms: int, other: int) -> None:
        """Wait until there is something to do here, or at another descriptor."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(other, zmq.POLLIN)
        poller.poll(timeout_ms)

    def requests(self) -> Iterator[tuple[bytes, Frames]]:
        """Yield the client and the frames of each request that has come; what has no envelope is counted."""
        n_ended = self._places.n_ended
        messages = receive_all(self._socket)
        self._places.look()
        self._metrics.connections_ended.inc(self._places.n_ended - n_ended)
        for message in messages:
            if len(message) <= _N_ENVELOPE_FRAMES or len(message[1]):
                self._metrics.malformed.inc()
                continue
            frames = [frame.buffer for frame in message[_N_ENVELOPE_FRAMES:]]
            if is_request(frames):
                self._places.note_served(message[0])
            yield message[0].bytes, frames

    def answer(self, clients: list[bytes], reply: Frames) -> None:
        """Send a reply; a client that has gone, or reads nothing, asks again if it wants it."""
        for client in clients:
            if deliver(self._socket, client, [b"", *reply]) is not Posted.DONE:
                self._metrics.undelivered.inc()

    def close(self) -> None:
        """Close the socket, once what was sent has left, or after a while."""
        self._places.close()
        self._socket.close()
        if self._gate is not None:
            self._gate.close()
        self._context.term()
