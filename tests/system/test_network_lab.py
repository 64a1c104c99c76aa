import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from std_test_kit.network_lab import FAR_ADDRESS, NEAR_ADDRESS, NetworkLab

PORT = 5000
N_BYTES = 8_000_000
LIMIT_S = 20.0


@pytest.fixture
def connection(network_lab: NetworkLab) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection: the end at the near server and the one at the far server."""
    with network_lab.far.inside():
        listener = socket.create_server((FAR_ADDRESS, PORT))
    with closing(listener):
        with network_lab.near.inside():
            near = socket.create_connection((FAR_ADDRESS, PORT), timeout=LIMIT_S)
        far, (address, _) = listener.accept()
        assert address == NEAR_ADDRESS
        far.settimeout(LIMIT_S)
        with near, far:
            yield near, far


def arrives_within(far: socket.socket, timeout_s: float) -> bool:
    far.settimeout(timeout_s)
    try:
        return far.recv(1) == b"x"
    except TimeoutError:
        return False


def test_servers_have_loopbacks_of_their_own(network_lab: NetworkLab) -> None:
    with network_lab.near.inside(), closing(socket.create_server(("127.0.0.1", PORT))):
        with socket.create_connection(("127.0.0.1", PORT)):
            pass
        with network_lab.far.inside(), pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", PORT), timeout=LIMIT_S)


def test_bytes_arrive_in_order_over_a_wire_that_loses_and_delays(
    network_lab: NetworkLab, connection: tuple[socket.socket, socket.socket]
) -> None:
    near, far = connection
    network_lab.wire.loss = 0.02
    network_lab.wire.delay_s = 0.001
    sent = bytes(range(250)) * (N_BYTES // 250)
    sender = threading.Thread(target=near.sendall, args=(sent,))
    sender.start()
    received = bytearray()
    while len(received) < N_BYTES:
        received += far.recv(1 << 20)
    sender.join()
    assert received == sent
    assert network_lab.wire.n_lost > 0


def test_nothing_arrives_before_the_delay(
    network_lab: NetworkLab, connection: tuple[socket.socket, socket.socket]
) -> None:
    near, far = connection
    network_lab.wire.delay_s = 1.0
    near.sendall(b"x")
    assert not arrives_within(far, 0.5)
    assert arrives_within(far, LIMIT_S)


def test_slow_wire_carries_no_more_than_its_rate(
    network_lab: NetworkLab, connection: tuple[socket.socket, socket.socket]
) -> None:
    near, far = connection
    network_lab.wire.bytes_per_s = 1e6
    sender = threading.Thread(target=near.sendall, args=(bytes(500_000),))
    sender.start()
    began = time.monotonic()
    n_received = 0
    while n_received < 500_000:
        n_received += len(far.recv(1 << 20))
    sender.join()
    assert time.monotonic() - began > 0.3


@pytest.mark.parametrize("how", ["cut", "unplugged"])
def test_what_is_sent_while_the_wire_is_cut_arrives_when_it_is_whole(
    network_lab: NetworkLab, connection: tuple[socket.socket, socket.socket], how: str
) -> None:
    near, far = connection
    with getattr(network_lab, how)():
        near.sendall(b"x")
        assert not arrives_within(far, 0.3)
    assert arrives_within(far, LIMIT_S)
