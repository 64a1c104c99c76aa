"""Ports of RabbitMQ nodes are kept until the nodes have opened them."""

import contextlib
import socket

import pytest

from std_daq.errors import BrokerError
from std_daq.rabbitmq import ports
from std_daq.rabbitmq.ports import HOST, ReservedPort


def listen(port: int) -> socket.socket:
    """Listen as RabbitMQ does."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((HOST, port))
    server.listen()
    return server


def test_reserved_port_is_picked_by_nobody_else_and_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PORTS", range(23_000, 23_040))
    with contextlib.ExitStack() as stack:
        reserved = []
        while True:
            try:
                port = ReservedPort()
            except BrokerError:
                break
            stack.callback(port.release)
            reserved.append(port.number)
        assert reserved
        assert len(set(reserved)) == len(reserved)
        with pytest.raises(BrokerError, match="no free port from 23000 to 23039"):
            ReservedPort()
        for _ in range(2):  # also after a restart
            with listen(reserved[0]), socket.create_connection((HOST, reserved[0])):
                pass


def test_port_that_is_listened_to_is_not_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ReservedPort()
    monkeypatch.setattr(ports, "PORTS", range(port.number, port.number + 1))
    port.release()
    with listen(port.number), pytest.raises(BrokerError, match="no free port"):
        ReservedPort()


def test_released_port_and_that_of_a_forgotten_reservation_can_be_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ReservedPort()
    monkeypatch.setattr(ports, "PORTS", range(port.number, port.number + 1))
    port.release()
    port = ReservedPort()
    number = port.number
    del port
    port = ReservedPort()
    port.release()
    assert port.number == number
