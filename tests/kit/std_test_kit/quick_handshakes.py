"""ZMQ connections that stand before whoever connects does anything else."""

import time

import pytest
import zmq

_HANDSHAKE_S = 0.3


def connect_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each connect of this process return only when the handshake has ended, if the other side is there."""
    connect = zmq.Socket.connect

    def connect_and_rest(socket: "zmq.Socket[bytes]", address: str) -> object:
        connecting = connect(socket, address)
        time.sleep(_HANDSHAKE_S)  # only the one monitor of the socket could tell the end, and it is that of its owner
        return connecting

    monkeypatch.setattr(zmq.Socket, "connect", connect_and_rest)
