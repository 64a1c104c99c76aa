"""A router and a worker as others have them, written from the description of the protocol, without any code of ours.

They keep the weaknesses of the originals: the router has no queue and takes any frame of a worker for "idle", the
worker does nothing but simulate while it simulates.
"""

import struct
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self

import zmq

LIVENESS = 3
INTERVAL_S = 1.0


class _InThread(ABC):
    """A context manager that runs `_run` in a thread."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    @abstractmethod
    def _run(self) -> None:
        """Work until `_stop` is set."""


class UpstreamRouter(_InThread):
    """A router without a queue.

    Parameters
    ----------
    frontend, backend
        Where clients and workers connect.
    """

    def __init__(self, frontend: str, backend: str) -> None:
        super().__init__()
        self._frontend = frontend
        self._backend = backend
        self.n_given_to_busy = 0
        self.n_refused = 0

    def _run(self) -> None:
        context: Any = zmq.Context()
        clients, workers = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
        clients.bind(self._frontend)
        workers.bind(self._backend)
        idle: OrderedDict[bytes, float] = OrderedDict()
        busy: set[bytes] = set()
        heartbeat_s = time.monotonic() + INTERVAL_S
        try:
            while not self._stop.is_set():
                if workers.poll(5):
                    worker, *rest = workers.recv_multipart()
                    idle[worker] = time.monotonic() + LIVENESS * INTERVAL_S
                    if len(rest) > 1:
                        busy.discard(worker)
                        clients.send_multipart(rest)
                if clients.poll(0):
                    message = clients.recv_multipart()
                    if message[2] == b"PING":
                        clients.send_multipart([*message[:2], b"ACK"])
                    elif not idle:
                        self.n_refused += 1
                        clients.send_multipart([*message[:2], b"NO_WORKERS"])
                    else:
                        worker, _ = idle.popitem(last=False)
                        self.n_given_to_busy += worker in busy
                        busy.add(worker)
                        workers.send_multipart([worker, *message])
                now_s = time.monotonic()
                if now_s >= heartbeat_s:
                    heartbeat_s = now_s + INTERVAL_S
                    for worker in idle:
                        workers.send_multipart([worker, b"\x02"])
                for worker in [worker for worker, expiry_s in idle.items() if expiry_s < now_s]:
                    del idle[worker]
        finally:
            context.destroy(linger=0)


class UpstreamWorker(_InThread):
    """A worker that simulates with a function.

    Parameters
    ----------
    backend
        Where its router takes workers.
    hits_of
        Returns the ten arrays of a reply from the metadata and the twelve arrays of a request.
    """

    def __init__(self, backend: str, hits_of: Callable[[bytes, list[bytes]], list[bytes]]) -> None:
        super().__init__()
        self._backend = backend
        self._hits_of = hits_of
        self.headers: list[bytes] = []

    def _run(self) -> None:
        context: Any = zmq.Context()
        try:
            dealer = self._connect(context)
            liveness, heartbeat_s = LIVENESS, time.monotonic() + INTERVAL_S
            while not self._stop.is_set():
                if dealer.poll(100):
                    message = dealer.recv_multipart()
                    liveness = LIVENESS
                    if len(message) > 1:
                        self.headers.append(message[2])
                        dealer.send_multipart([*message[:2], *self._reply(message[2:])])
                elif time.monotonic() > heartbeat_s:
                    liveness -= 1
                    if not liveness:
                        dealer.close(linger=0)
                        dealer, liveness = self._connect(context), LIVENESS
                if time.monotonic() > heartbeat_s:
                    heartbeat_s = time.monotonic() + INTERVAL_S
                    dealer.send(b"\x02")
        finally:
            context.destroy(linger=0)

    def _connect(self, context: Any) -> Any:
        dealer = context.socket(zmq.DEALER)
        dealer.connect(self._backend)
        dealer.send(b"\x01")
        return dealer

    def _reply(self, request: list[bytes]) -> list[bytes]:
        if request[0] == b"PHOTONDATA":
            return [b"SIM_COMPLETE", request[1][:4], *self._hits_of(request[1], request[2:14])]
        if request[0] == b"DETECTOR_INFO":
            return [b"DETECTOR_INFO", *(struct.pack("<f", place) for place in (1, 2, 3)), struct.pack("<i", 4)]
        return [b"UNKNOWN_REQUEST"]


def first_photon_is_hit(metadata: bytes, arrays: list[bytes]) -> list[bytes]:
    """Return one hit of channel 7, as the first photon came; none for an empty event."""
    if not metadata[4:] or metadata[4:] == bytes(4):
        return [b""] * 10
    return [struct.pack("<I", 7), *(array[:4] for array in arrays[3:12])]
