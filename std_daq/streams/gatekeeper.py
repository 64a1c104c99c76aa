"""Gatekeeper: lets in the clients whose public keys lie in a folder (ZMQ's authentication protocol, RFC 27)."""

from pathlib import Path

import zmq
from zmq.utils import z85

from std_daq.streams.curve_keys import public_keys
from std_daq.telemetry.logs import ConditionLog

_ADDRESS = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_N_PARTS = 7
_KEY_BYTES = 32


class Gatekeeper:
    """Answers for all sockets of a context; the folder is looked at for each client, so that it may change.

    Parameters
    ----------
    context
        Of the sockets that are guarded; they are made afterwards.
    clients
        The folder.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", clients: Path) -> None:
        self._clients = clients
        self._conditions = ConditionLog()
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_ADDRESS)
        self.n_refused = 0

    @property
    def socket(self) -> "zmq.Socket[bytes]":
        """For the poller of whoever calls `step`."""
        return self._socket

    def step(self) -> None:
        """Answer what was asked."""
        while self._socket.poll(0):
            self._socket.send_multipart(self._answer(self._socket.recv_multipart()))

    def close(self) -> None:
        """Stop answering; no client is let in any more."""
        self._socket.close()

    def _answer(self, parts: list[bytes]) -> list[bytes]:
        request = parts[1] if len(parts) > 1 else b""
        if self._is_known(parts):
            return [_VERSION, request, b"200", b"OK", parts[6].hex().encode(), b""]
        self.n_refused += 1
        address = parts[3].decode(errors="replace") if len(parts) == _N_PARTS else ""
        self._conditions.warning("client_refused", address=address, known_keys=str(self._clients))
        return [_VERSION, request, b"400", b"unknown key", b"", b""]

    def _is_known(self, parts: list[bytes]) -> bool:
        if len(parts) != _N_PARTS or parts[0] != _VERSION or parts[5] != b"CURVE":
            return False
        return len(parts[6]) == _KEY_BYTES and z85.encode(parts[6]) in public_keys(self._clients)
