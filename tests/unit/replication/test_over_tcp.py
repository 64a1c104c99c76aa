"""Two servers over real sockets, with TLS and without: what the kernel holds, and peers that do not behave."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import pytest

from std_daq.imaging.protocols.replication import Ack, Hello, Point, Share, Start
from std_daq.streams.tcp.framing import GREETING, LENGTH, split_address
from std_daq.streams.tcp.identity import TlsIdentity
from std_daq.streams.tcp.router import MAX_PEERS
from std_stream_send.sender import MAX_SESSIONS

MakeServers = Callable[..., Any]
LARGE = (2048, 2048)
"""8 MiB: more than the kernel takes at once."""
HELLO = Hello("EG", "other", Share(), Point(), Start.OLDEST, credit=2**32 - 1).encode()


@pytest.fixture(params=["plain", "tls"])
def make_servers_over_tcp(
    request: pytest.FixtureRequest, make_servers: MakeServers, identities: tuple[TlsIdentity, TlsIdentity]
) -> MakeServers:
    """Makes servers with real sockets between them: ``make_servers_over_tcp(shape=...)``."""
    return partial(make_servers, has_tcp=True, identities=identities if request.param == "tls" else None)


@pytest.fixture
def stranger(make_servers: MakeServers) -> Iterator[Callable[[Any, bytes], socket.socket]]:
    """Connects to the sender past the relay, sends something, and reads nothing: ``stranger(servers, b"...")``."""
    made: list[socket.socket] = []

    def connect(servers: Any, sent: bytes) -> socket.socket:
        made.append(socket.create_connection(split_address(servers.network.router.address), timeout=5.0))
        made[-1].sendall(sent)
        return made[-1]

    yield connect
    for one in made:
        one.close()


def test_image_that_is_overwritten_while_half_of_it_is_sent_is_lost_and_never_shown(
    make_servers_over_tcp: MakeServers,
) -> None:
    servers = make_servers_over_tcp(shape=LARGE, near_slots=4, far_slots=16, credit=8)
    servers.settle_until(lambda: servers.receiver.is_ready)
    servers.publish(1)
    for n_bytes in (2**20, 2**20, 0, 0):
        servers.step(n_bytes)
    (coming,) = servers.receiver._publisher._items
    assert servers.far_ring.generation(coming.slot) % 2 == 1
    servers.publish(4)  # into the same slot, among others
    servers.settle()
    assert servers.reader.ids == [0, 1, 2, 3, 4]
    assert 0 in servers.reader.lost
    assert 4 in servers.reader.whole
    assert servers.reader.wrong == set()
    assert servers.value("daq_replica_images_torn_total") == 1


def test_connection_that_is_cut_within_an_image_leaves_nothing_of_it_to_be_read(
    make_servers_over_tcp: MakeServers,
) -> None:
    servers = make_servers_over_tcp(shape=LARGE, near_slots=4, far_slots=16, credit=8)
    servers.settle_until(lambda: servers.receiver.is_ready)
    servers.publish(1)
    for n_bytes in (2**20, 2**20):
        servers.step(n_bytes)
    servers.network.cut()
    servers.receiver.step()
    assert not servers.far_ring.holds(0)
    assert servers.far_ring.journal.next_sequence == 0
    servers.settle()
    assert servers.reader.whole == {0}


def test_connection_over_which_nothing_gets_through_is_noticed_on_both_sides(
    make_servers_over_tcp: MakeServers, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = make_servers_over_tcp()
    servers.publish(2)
    servers.settle()
    for _ in range(15):
        servers.clock.now += 0.1
        servers.publish(1)
        servers.sender.step()
        servers.receiver.step()
    assert not servers.sender._sessions
    assert not servers.network.router._peers
    assert "silent" in servers.receiver.why_not_ready
    logged = capsys.readouterr().err
    assert "source_lost" in logged
    assert "connection_ended" in logged or "receiver_left" in logged
    servers.settle()
    assert servers.reader.ids == list(range(17))
    assert servers.reader.wrong == set()


def test_reader_that_takes_nothing_keeps_nobody_waiting(
    make_servers: MakeServers, stranger: Callable[..., socket.socket]
) -> None:
    servers = make_servers(shape=(1024, 700), near_slots=8, far_slots=64, credit=4, has_tcp=True)
    servers.settle_until(lambda: servers.receiver.is_ready)
    stranger(servers, GREETING + LENGTH.pack(len(HELLO)) + HELLO)
    for _ in range(10):
        servers.publish(3)
        servers.settle()
    assert len(servers.sender._sessions) == 2
    assert servers.reader.whole == set(range(30))


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "the peer was silent"),
        (GREETING, "the peer was silent"),
        (GREETING + LENGTH.pack(2**32 - 1), "the peer sends a message of 4294967295 bytes"),
        (b"GET / HTTP/1.1\r\n\r\n", "the peer speaks another protocol"),
    ],
)
def test_stranger_is_sent_away_and_named_and_images_come_over(
    make_servers: MakeServers,
    stranger: Callable[..., socket.socket],
    capsys: pytest.CaptureFixture[str],
    sent: bytes,
    why: str,
) -> None:
    servers = make_servers(has_tcp=True)
    servers.settle_until(lambda: servers.receiver.is_ready)
    port = stranger(servers, sent).getsockname()[1]

    def has_gone() -> bool:
        servers.publish(1)
        return f"127.0.0.1:{port}" not in {peer.address.removeprefix("tcp://") for peer in peers().values()}

    def peers() -> dict[bytes, Any]:
        found: dict[bytes, Any] = servers.network.router._peers
        return found

    servers.settle_until(lambda: len(peers()) == 2)
    servers.settle_until(has_gone)
    servers.settle()
    assert servers.reader.wrong == set()
    logged = capsys.readouterr().err
    assert "connection_ended" in logged
    assert f"127.0.0.1:{port}" in logged
    assert why in logged


def test_messages_that_make_no_sense_are_answered_and_cost_no_more_than_a_connection(
    make_servers: MakeServers, stranger: Callable[..., socket.socket]
) -> None:
    servers = make_servers(has_tcp=True)
    servers.settle_until(lambda: servers.receiver.is_ready)
    with closing(stranger(servers, GREETING)) as one:
        one.setblocking(False)
        for _ in range(20):
            sent = (LENGTH.pack(3) + b"???") * 1000
            while sent:
                try:
                    sent = sent[one.send(sent) :]
                except BlockingIOError:
                    servers.step()
            servers.step()
        n_parts = [len(peer._outgoing._parts) for peer in servers.network.router._peers.values()]
        assert max(n_parts) <= 1026
        servers.publish(5)
        servers.settle()
    assert servers.reader.whole == set(range(5))


@pytest.mark.parametrize("says", ["nothing", "ack"])
def test_receiver_is_served_beside_strangers_who_take_all_places(
    make_servers: MakeServers, stranger: Callable[[Any, bytes], socket.socket], says: str
) -> None:
    servers = make_servers(has_tcp=True)
    ack = Ack(0, Point()).encode()
    said = GREETING + LENGTH.pack(len(ack)) + ack if says == "ack" else b""
    for _ in range(MAX_PEERS + 10):
        stranger(servers, said)
        servers.sender.step()
    servers.publish(3)
    servers.settle()
    for _ in range(MAX_PEERS + 10):
        stranger(servers, said)
        servers.sender.step()
    servers.publish(3)
    servers.settle()
    assert servers.reader.whole == set(range(6))
    assert len(servers.sender._sessions) == 1


def test_receiver_of_another_host_is_served_where_one_host_has_all_sessions(make_servers: MakeServers) -> None:
    servers = make_servers(has_tcp=True)
    servers.publish(3)
    sessions = servers.sender._sessions

    def labels() -> set[str]:
        return {session.label for session in sessions.values()}

    with ExitStack() as connections:

        def come(name: str, host: str = "127.0.0.1") -> None:
            address = split_address(servers.network.router.address)
            one = connections.enter_context(socket.create_connection(address, source_address=(host, 0)))
            hello = Hello("EG", name, Share(), Point(), Start.OLDEST, credit=1).encode()
            one.sendall(GREETING + LENGTH.pack(len(hello)) + hello)
            for _ in range(3):
                servers.sender.step()

        for n in range(MAX_SESSIONS):
            come(f"r{n}")
        assert len(sessions) == MAX_SESSIONS
        come("too-many")
        assert "too-many" not in labels()
        come("of-another-host", "127.0.0.2")
        assert "of-another-host" in labels()
        assert len(sessions) == MAX_SESSIONS
        come("too-many")
        assert "too-many" not in labels()
