"""A TcpRouter and its TcpDealers over loopback, with TLS and without."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.errors import PortError
from std_daq.streams.places import first_to_go
from std_daq.streams.tcp.dealer import TcpDealer
from std_daq.streams.tcp.framing import GREETING, LENGTH, split_address
from std_daq.streams.tcp.identity import TlsIdentity
from std_daq.streams.tcp.incoming import READ_BYTES, Incoming
from std_daq.streams.tcp.outgoing import MAX_WAITING_BYTES, Outgoing
from std_daq.streams.tcp.peer import MAX_REQUEST_BYTES, NoPeer, TcpPeer
from std_daq.streams.tcp.router import MAX_PEERS, TcpRouter
from std_daq.streams.tcp.transport import PlainTransport

MAX_MESSAGE_BYTES = 2**20
Connect = Callable[[], tuple[TcpDealer, TcpPeer]]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@dataclass
class Identities:
    """Of both sides: None where the connection is plain."""

    near: TlsIdentity | None = None
    far: TlsIdentity | None = None


@pytest.fixture(params=["plain", "tls"])
def identities(request: pytest.FixtureRequest) -> Identities:
    if request.param == "plain":
        return Identities()
    return Identities(request.getfixturevalue("near"), request.getfixturevalue("far"))


@pytest.fixture
def plain_router(clock: Clock) -> Iterator[TcpRouter]:
    with closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=5.0, clock=clock)) as made:
        yield made


@pytest.fixture
def router(clock: Clock, identities: Identities) -> Iterator[TcpRouter]:
    with closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=5.0, identity=identities.near, clock=clock)) as made:
        yield made


@pytest.fixture
def connect(router: TcpRouter, identities: Identities) -> Connect:
    def make() -> tuple[TcpDealer, TcpPeer]:
        dealer = TcpDealer(router.address, max_message_bytes=MAX_MESSAGE_BYTES, identity=identities.far)
        dealer.send(b"hello")
        received: list[tuple[bytes, bytes]] = []

        def has_come() -> bool:
            assert dealer.receive() is None
            assert not dealer.failure
            message = router.receive()
            received.extend([message] if message is not None else [])
            return bool(received)

        wait_for(has_come)
        identity, message = received[0]
        assert message == b"hello"
        peer = router.peer(identity)
        assert isinstance(peer, TcpPeer)
        return dealer, peer

    return make


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline


def receive(router: TcpRouter) -> tuple[bytes, bytes]:
    received: list[tuple[bytes, bytes]] = []

    def has_come() -> bool:
        message = router.receive()
        received.extend([message] if message is not None else [])
        return bool(received)

    wait_for(has_come)
    return received[0]


def take(dealer: TcpDealer) -> bytes:
    taken: list[bytes] = []

    def has_come() -> bool:
        message = dealer.receive()
        taken.extend([message] if message is not None else [])
        return bool(taken)

    wait_for(has_come)
    return taken[0]


def test_each_peer_is_answered_on_its_own(router: TcpRouter, connect: Connect) -> None:
    (first, to_first), (second, to_second) = connect(), connect()
    assert to_first.send(b"one")
    assert to_second.send(b"two")
    for dealer, peer, message in ((first, to_first, b"one"), (second, to_second, b"two")):
        peer.transmit()
        assert take(dealer) == message
        assert dealer.receive() is None
        dealer.close()


def test_memory_is_sent_in_place_and_told_when_it_has_left(router: TcpRouter, connect: Connect) -> None:
    dealer, peer = connect()
    memory = bytearray(bytes(range(256)) * 40_000)
    target = bytearray(len(memory))
    tracker = peer.send_in_place(memoryview(memory))
    assert tracker is not None
    assert not tracker.done
    peer.transmit()
    assert not tracker.done  # it is more than the system takes at once

    def has_come() -> bool:
        router.receive()
        return dealer.receive_into(memoryview(target)) == len(memory)

    wait_for(has_come)
    assert tracker.done
    assert target == memory
    dealer.close()


def test_what_waits_is_enough_and_what_is_more_is_not_taken(router: TcpRouter, connect: Connect) -> None:
    dealer, peer = connect()
    memory = memoryview(bytes(MAX_WAITING_BYTES))
    n_sent = 0
    while peer.send_in_place(memory) is not None:
        n_sent += 1
        assert n_sent < 1000
    assert not peer.send(b"more")
    assert not peer.is_gone
    for _ in range(n_sent):
        wait_for(lambda: router.receive() is None and dealer.receive() == memory)
    assert peer.send(b"more")
    dealer.close()


def test_router_wakes_up_when_a_peer_takes_more(router: TcpRouter, connect: Connect) -> None:
    dealer, peer = connect()
    memory = memoryview(bytes(MAX_WAITING_BYTES))
    while peer.send_in_place(memory) is not None:
        pass
    router.receive()
    assert not router.sockets[0].poll(0)
    wait_for(lambda: dealer.receive() is None and bool(router.sockets[0].poll(0)))
    dealer.close()


def test_dealer_that_has_left_is_gone(router: TcpRouter, connect: Connect) -> None:
    dealer, peer = connect()
    tracker = peer.send_in_place(memoryview(bytes(2**23)))
    dealer.close()
    wait_for(lambda: router.receive() is None and peer.is_gone)
    assert not peer.send(b"are you there?")
    assert tracker is not None
    assert tracker.done  # nobody reads that memory any more
    assert isinstance(router.peer(peer.identity), NoPeer)


def test_peer_that_is_silent_is_ended_and_others_are_not(router: TcpRouter, clock: Clock, connect: Connect) -> None:
    (silent, to_silent), (lively, to_lively) = connect(), connect()
    clock.now += 4.0
    lively.send(b"still here")
    assert receive(router) == (to_lively.identity, b"still here")
    clock.now += 2.0
    router.receive()
    assert to_silent.is_gone
    assert not to_lively.is_gone
    wait_for(lambda: silent.receive() is None and bool(silent.failure))
    silent.close()
    lively.close()


def test_peer_that_floods_keeps_nobody_waiting(router: TcpRouter, connect: Connect) -> None:
    (flooding, to_flooding), (other, to_other) = connect(), connect()
    for _ in range(1000):
        flooding.send(b"x" * 1000)
    other.send(b"my turn")
    identities = [receive(router)[0] for _ in range(20)]
    assert to_other.identity in identities
    assert to_flooding.identity in identities
    flooding.close()
    other.close()


def test_when_there_are_too_many_peers_the_longest_connected_without_a_session_go(
    router: TcpRouter, connect: Connect
) -> None:
    (dealer, peer), (without_session, _) = connect(), connect()
    peer.keep()
    with ExitStack() as strangers:
        for _ in range(2 * MAX_PEERS):
            strangers.enter_context(socket.create_connection(split_address(router.address)))
            wait_for(lambda: router.receive() is None and not router.sockets[0].poll(0))
        assert len(router._peers) == MAX_PEERS
        assert router.n_refused == MAX_PEERS + 2
        assert not peer.is_gone
        late, to_late = connect()
        for one in (peer, to_late):
            assert one.send(b"served")
            one.transmit()
        assert take(dealer) == take(late) == b"served"
        wait_for(lambda: without_session.receive() is None and bool(without_session.failure))
    for each in (dealer, without_session, late):
        each.close()


def test_peer_whose_session_has_ended_goes_after_those_who_were_longer_without(
    router: TcpRouter, connect: Connect, clock: Clock
) -> None:
    (dealer, peer), (other, _) = connect(), connect()
    peer.keep()
    clock.now += 1.0
    dealer.send(b"the last message")
    assert receive(router)[1] == b"the last message"
    peer.release()
    assert first_to_go(router._peers.values()) is not peer
    dealer.close()
    other.close()


def test_who_comes_while_no_file_can_be_opened_is_let_in_later(
    router: TcpRouter,
    clock: Clock,
    connect: Connect,
    identities: Identities,
    no_descriptor_left: Callable[[], AbstractContextManager[None]],
) -> None:
    (waiting,) = router.sockets
    dealer, _ = connect()
    late = TcpDealer(router.address, max_message_bytes=MAX_MESSAGE_BYTES, identity=identities.far)
    late.send(b"late")
    wait_for(lambda: late.receive() is None and bool(waiting.poll(0)))
    with no_descriptor_left():
        assert router.receive() is None
        assert waiting.poll(0) == [], "nobody wakes up for what cannot be done"
        dealer.send(b"again")
        assert receive(router)[1] == b"again"
    clock.now += 5.0
    dealer.send(b"and again")
    messages = set()

    def have_come() -> bool:
        assert late.receive() is None
        message = router.receive()
        messages.update([message[1]] if message is not None else [])
        return messages == {b"late", b"and again"}

    wait_for(have_come)
    for each in (dealer, late):
        each.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f",  # how ZMQ greets
        GREETING + LENGTH.pack(MAX_REQUEST_BYTES + 1),
        GREETING + LENGTH.pack(2**32 - 1),
    ],
)
def test_who_does_not_keep_to_the_protocol_is_disconnected(plain_router: TcpRouter, sent: bytes) -> None:
    with closing(socket.create_connection(split_address(plain_router.address), timeout=5.0)) as stranger:
        stranger.sendall(sent)
        wait_for(lambda: plain_router.receive() is None and not plain_router._peers)
        received = b""
        while chunk := stranger.recv(100):
            received += chunk
        assert received in {b"", GREETING}


def test_nobody_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    dealer = TcpDealer(f"tcp://127.0.0.1:{port}", max_message_bytes=MAX_MESSAGE_BYTES)
    dealer.send(b"hello")
    wait_for(lambda: dealer.receive() is None and bool(dealer.failure))
    assert "refused" in dealer.failure
    dealer.send(b"hello?")
    assert dealer.receive_into(memoryview(bytearray(1))) is None
    dealer.close()


def test_host_that_has_no_address_is_told() -> None:
    dealer = TcpDealer("tcp://nowhere.invalid:5000", max_message_bytes=MAX_MESSAGE_BYTES)
    wait_for(lambda: dealer.receive() is None and bool(dealer.failure))
    dealer.close()


def test_what_was_said_at_last_is_heard(router: TcpRouter, connect: Connect) -> None:
    dealer, peer = connect()
    peer.send(b"bye")
    peer.transmit()
    router.close()
    assert take(dealer) == b"bye"
    wait_for(lambda: dealer.receive() is None and bool(dealer.failure))
    dealer.close()


def test_address_that_is_taken_is_named(router: TcpRouter) -> None:
    with pytest.raises(PortError, match=f"{router.address} cannot be bound"):
        TcpRouter(router.address, timeout_s=5.0)


@pytest.mark.parametrize("address", ["ipc://here", "tcp://127.0.0.1", "tcp://:5000", "tcp://a:b"])
def test_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(PortError, match="does not have the form tcp"):
        split_address(address)


@pytest.mark.parametrize(
    ("address", "place"),
    [("tcp://*:5", ("", 5)), ("tcp://[::1]:5", ("::1", 5)), ("tcp://far.site:50000", ("far.site", 50000))],
)
def test_address_is_host_and_port(address: str, place: tuple[str, int]) -> None:
    assert split_address(address) == place


@pytest.mark.parametrize(("address", "is_open"), [("tcp://127.0.0.1:0", False), ("tcp://*:0", True)])
def test_address_that_others_can_reach_is_told(
    capsys: pytest.CaptureFixture[str], address: str, *, is_open: bool
) -> None:
    TcpRouter(address, timeout_s=5.0).close()
    assert ("open_to_everybody" in capsys.readouterr().err) is is_open


SIZES = st.one_of(st.integers(0, 40), st.integers(0, 300_000), st.sampled_from([READ_BYTES, READ_BYTES - 4, 4096]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.tuples(SIZES, st.booleans()), max_size=12), pieces=st.lists(st.integers(1, 70_000), max_size=40)
)
def test_messages_come_out_as_they_were_put_in_however_the_network_cuts_them(
    sizes: list[tuple[int, bool]], pieces: list[int]
) -> None:
    """Each message is taken on its own, or into memory, as the receiver pleases; the bytes come in any pieces."""
    messages = [struct.pack("<H", i) * (size // 2) + b"x" * (size % 2) for i, (size, _) in enumerate(sizes)]
    stream = GREETING + b"".join(LENGTH.pack(len(message)) + message for message in messages)
    near, far = socket.socketpair()
    with closing(near), closing(far):
        far.setblocking(False)
        incoming = Incoming(PlainTransport(far), MAX_MESSAGE_BYTES)
        targets = [bytearray(size) for size, _ in sizes]
        got: list[bytes] = []
        cuts = iter(pieces)
        while len(got) < len(messages):
            n = len(got)
            if sizes[n][1]:
                is_there = incoming.receive_into(memoryview(targets[n])) is not None
                message = bytes(targets[n]) if is_there else None
            else:
                message = incoming.receive()
            if message is not None:
                got.append(message)
            elif stream:
                n_bytes = next(cuts, 50_000)
                near.sendall(stream[:n_bytes])
                stream = stream[n_bytes:]
        assert got == messages


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(SIZES, max_size=12), takes=st.lists(st.integers(1, 100_000), max_size=30))
def test_what_is_sent_is_what_was_put_in_however_little_is_taken(sizes: list[int], takes: list[int]) -> None:
    near, far = socket.socketpair()
    with closing(near), closing(far):
        near.setblocking(False)
        far.setblocking(False)
        outgoing = Outgoing(PlainTransport(near))
        messages = [bytes([i % 256]) * size for i, size in enumerate(sizes)]
        expected = GREETING + b"".join(LENGTH.pack(len(message)) + message for message in messages)
        waiting, departures, received = list(messages), [], b""
        amounts = iter(takes)
        while len(received) < len(expected):
            if waiting and (departure := outgoing.put(waiting[0])) is not None:
                departures.append(departure)
                waiting.pop(0)
            outgoing.transmit()
            try:
                received += far.recv(next(amounts, 100_000))
            except BlockingIOError:
                continue
        assert received == expected
        assert all(departure.done for departure in departures)
