"""A Router and its Dealers over loopback."""

import time
from collections.abc import Iterator

import pytest
from zmq.utils import garbage

from std_daq.errors import PortError
from std_daq.streams.dealer import Dealer
from std_daq.streams.router import Router, RouterPeer


@pytest.fixture
def router() -> Iterator[Router]:
    made = Router("tcp://127.0.0.1:0", queue_messages=4, timeout_s=5.0)
    yield made
    made.close()
    garbage.gc.stop()  # ZMQ's own thread for memory that was sent in place


def connect(router: Router, queue_messages: int = 4, timeout_s: float = 5.0) -> tuple[Dealer, RouterPeer]:
    dealer = Dealer(router.address, queue_messages=queue_messages, largest_bytes=2**20, timeout_s=timeout_s)
    dealer.send(b"hello")
    assert router.sockets[0].poll(5000)
    received = router.receive()
    assert received is not None
    assert received[1] == b"hello"
    return dealer, router.peer(received[0])


def receive_into(dealer: Dealer, memory: memoryview) -> int | None:
    assert dealer.socket.poll(5000)
    return dealer.receive_into(memory)


def test_each_peer_is_answered_on_its_own(router: Router) -> None:
    (first, to_first), (second, to_second) = connect(router), connect(router)
    assert to_first.send(b"one")
    assert to_second.send(b"two")
    for dealer, message in ((first, b"one"), (second, b"two")):
        assert dealer.socket.poll(5000)
        assert dealer.receive() == message
        assert dealer.receive() is None
        dealer.close()


def test_memory_is_sent_in_place_and_told_when_it_has_left(router: Router) -> None:
    dealer, peer = connect(router)
    memory, target = bytes(range(256)) * 2000, bytearray(256 * 2000)
    tracker = peer.send_in_place(memoryview(memory))
    assert tracker is not None
    assert receive_into(dealer, memoryview(target)) == len(memory)
    assert target == memory
    tracker.wait(5.0)
    assert tracker.done
    dealer.close()


def test_message_that_does_not_fit_tells_its_size(router: Router) -> None:
    dealer, peer = connect(router)
    target = bytearray(10)
    assert peer.send(b"x" * 15)
    assert receive_into(dealer, memoryview(target)) == 15
    assert bytes(target) == b"x" * 10
    dealer.close()


def test_full_queue_is_told_and_takes_nothing(router: Router) -> None:
    dealer, peer = connect(router)
    memory = memoryview(bytes(2**20))
    n_sent = 0
    while peer.send_in_place(memory) is not None:
        n_sent += 1
        assert n_sent < 1000
    assert not peer.send(b"more")
    assert not peer.is_gone
    dealer.close()


def test_dealer_that_takes_nothing_for_long_keeps_its_connection_and_its_process(router: Router) -> None:
    dealer, peer = connect(router, timeout_s=0.1)
    memory = memoryview(bytes(2**20))
    n_sent = 0
    for _ in range(10):  # until neither the dealer nor the system takes more, and that for a time
        while peer.send_in_place(memory) is not None:
            n_sent += 1
        assert not router.sockets[0].poll(100)
    for _ in range(n_sent):
        assert dealer.socket.poll(5000)
        assert dealer.receive() == memory
    dealer.send(b"still here")
    assert router.sockets[0].poll(5000)
    assert router.receive() == (peer._identity, b"still here")
    dealer.close()


def test_peer_that_has_left_is_gone(router: Router) -> None:
    dealer, peer = connect(router)
    dealer.close()
    deadline = time.monotonic() + 5.0
    while peer.send(b"are you there?") or not peer.is_gone:
        assert time.monotonic() < deadline
        router.receive()


def test_address_that_is_taken_is_named(router: Router) -> None:
    with pytest.raises(PortError, match=f"{router.address} cannot be bound"):
        Router(router.address, queue_messages=4, timeout_s=5.0)


@pytest.mark.parametrize(("address", "is_open"), [("tcp://127.0.0.1:0", False), ("tcp://0.0.0.0:0", True)])
def test_address_that_others_can_reach_without_keys_is_told(
    capsys: pytest.CaptureFixture[str], address: str, *, is_open: bool
) -> None:
    Router(address, queue_messages=4, timeout_s=5.0).close()
    assert ("open_to_everybody" in capsys.readouterr().err) is is_open
