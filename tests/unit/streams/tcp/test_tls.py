"""Who has certificates meets who has none, others, or old ones: both sides are told, and nobody else is disturbed."""

import io
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.streams.tcp import tls_transport
from std_daq.streams.tcp.dealer import TcpDealer
from std_daq.streams.tcp.framing import GREETING, LENGTH, split_address, what_is_wrong_with
from std_daq.streams.tcp.identity import TlsFiles, TlsIdentity
from std_daq.streams.tcp.incoming import Incoming
from std_daq.streams.tcp.outgoing import Outgoing
from std_daq.streams.tcp.router import TcpRouter
from std_daq.streams.tcp.tls_transport import TlsTransport
from tests.unit.streams.tcp.conftest import Certificates

MAX_MESSAGE_BYTES = 2**20
TIMEOUT_S = 5.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def router(near: TlsIdentity, clock: Clock) -> Iterator[TcpRouter]:
    with closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=TIMEOUT_S, identity=near, clock=clock)) as made:
        yield made


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline


class Friend:
    """A dealer that is let in, and asks again and again."""

    def __init__(self, router: TcpRouter, identity: TlsIdentity | None) -> None:
        self._router = router
        self._dealer = TcpDealer(router.address, max_message_bytes=MAX_MESSAGE_BYTES, identity=identity)
        self.ask()

    def ask(self) -> None:
        """Say something, and wait until the router has it."""
        self._dealer.send(b"hello")

        def is_heard() -> bool:
            self._dealer.receive()
            assert not self._dealer.failure
            message = self._router.receive()
            return message is not None and message[1] == b"hello"

        wait_for(is_heard)

    def close(self) -> None:
        self._dealer.close()


def try_to_connect(router: TcpRouter, identity: TlsIdentity | None, server_name: str | None = None) -> str:
    """Connect until that has failed on both sides; return what the side that connects says."""
    n_refused = router.n_refused
    dealer = TcpDealer(router.address, max_message_bytes=MAX_MESSAGE_BYTES, identity=identity, server_name=server_name)
    with closing(dealer):
        dealer.send(b"hello")
        wait_for(lambda: router.receive() is None and dealer.receive() is None and bool(dealer.failure))
        wait_for(lambda: router.receive() is None and (not router._peers or router.n_refused > n_refused))
        return dealer.failure


def read_unchecked(files: TlsFiles, monkeypatch: pytest.MonkeyPatch, *, is_server: bool = False) -> TlsIdentity:
    """Return an identity as it is when its certificate expires while the service runs."""
    with monkeypatch.context() as patched:
        patched.setattr("std_daq.streams.tcp.identity.check_certificate", lambda *_, is_server: 0.0)
        return TlsIdentity(files, is_server=is_server)


def test_certificate_of_a_foreign_authority_is_refused_and_both_sides_are_told(
    router: TcpRouter,
    far: TlsIdentity,
    certificates: Certificates,
    authority: trustme.CA,
    stranger: trustme.CA,
    log: io.StringIO,
) -> None:
    foreign = Certificates(certificates.folder / "foreign", stranger).write("far", trusted=authority)
    with closing(Friend(router, far)) as friend:
        said = try_to_connect(router, TlsIdentity(foreign, is_server=False))
        friend.ask()
    assert "this side's certificate is not from an authority in its ca_file" in said
    assert router.n_refused == 1
    assert "the certificate of the peer is not from an authority in ca_file" in log.getvalue()


def test_server_of_a_foreign_authority_is_not_spoken_with_and_both_sides_are_told(
    router: TcpRouter, certificates: Certificates, stranger: trustme.CA, log: io.StringIO
) -> None:
    files = certificates.write("wary", host="far.site", trusted=stranger)
    assert "the certificate of the peer is not from an authority in ca_file" in try_to_connect(
        router, TlsIdentity(files, is_server=False)
    )
    assert router.n_refused == 1
    assert "this side's certificate is not from an authority in its ca_file" in log.getvalue()


def test_certificate_that_has_expired_meanwhile_is_refused_and_both_sides_are_told(
    router: TcpRouter,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    log: io.StringIO,
) -> None:
    old = read_unchecked(certificates.write("old", host="far.site", is_expired=True), monkeypatch)
    assert "this side's certificate has expired" in try_to_connect(router, old)
    assert "the certificate of the peer has expired" in log.getvalue()


def test_server_whose_certificate_has_expired_meanwhile_is_not_spoken_with(
    far: TlsIdentity, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    old = read_unchecked(certificates.write("old", is_expired=True), monkeypatch, is_server=True)
    with closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=TIMEOUT_S, identity=old)) as router:
        assert "the certificate of the peer has expired" in try_to_connect(router, far)
    assert "this side's certificate has expired" in log.getvalue()


def test_server_must_have_the_name_that_it_is_looked_for_under(router: TcpRouter, far: TlsIdentity) -> None:
    said = try_to_connect(router, far, server_name="elsewhere.site")
    assert "the certificate of the peer is for another name" in said
    assert "server_name" in said


def test_server_may_be_looked_for_under_the_name_in_its_certificate(
    far: TlsIdentity, certificates: Certificates
) -> None:
    named = TlsIdentity(certificates.write("named", host="near.site"), is_server=True)
    with closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=TIMEOUT_S, identity=named)) as router:
        assert "another name" in try_to_connect(router, far)
        dealer = TcpDealer(router.address, max_message_bytes=MAX_MESSAGE_BYTES, identity=far, server_name="near.site")
        with closing(dealer):
            dealer.send(b"hello")
            wait_for(lambda: dealer.receive() is None and router.receive() is not None)


def test_peer_that_shows_no_certificate_is_refused(router: TcpRouter, authority: trustme.CA, log: io.StringIO) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with closing(socket.create_connection(split_address(router.address), timeout=5.0)) as connection:
        connection.setblocking(False)
        transport = TlsTransport(connection, context, "127.0.0.1", 2**14)
        told: list[str] = []

        def is_told() -> bool:
            assert router.receive() is None
            try:
                transport.receive_into(memoryview(bytearray(10)), memoryview(b""))
            except BlockingIOError:
                pass
            except ValueError as error:
                told.append(str(error))
            return bool(told)

        wait_for(is_told)
    assert "this side shows no certificate" in told[0]
    assert "the peer shows no certificate" in log.getvalue()
    assert router.n_refused == 1


def test_plain_receiver_at_a_sender_with_tls_is_told_on_both_sides(
    router: TcpRouter, far: TlsIdentity, log: io.StringIO
) -> None:
    with closing(Friend(router, far)) as friend:
        assert "does the peer expect TLS" in try_to_connect(router, None)
        friend.ask()
    assert "the peer has no certificates, and this side has" in log.getvalue()
    assert router.n_refused == 1


def test_receiver_with_tls_at_a_plain_sender_is_told_on_both_sides(far: TlsIdentity, log: io.StringIO) -> None:
    with (
        closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=TIMEOUT_S)) as router,
        closing(Friend(router, None)) as friend,
    ):
        assert "the peer has no certificates, and this side has" in try_to_connect(router, far)
        friend.ask()
        assert router.n_refused == 1
    assert "the peer speaks TLS, and this side has no certificates" in log.getvalue()


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "the peer did not finish the TLS handshake"),
        (b"\x16\x03\x01\x02\x00\x01", "the peer did not finish the TLS handshake"),
        (b"GET / HTTP/1.1\r\n\r\n", "the peer does not speak TLS"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f", "the peer does not speak TLS"),
        (b"\x16\x03\x01\x40\x00" + b"\x01" * 2**14, "the peer did not finish the TLS handshake"),
        (b"\x16\x03\x01\xff\xff" + b"\x01" * 2**16, "TLS failed"),
        (os.urandom(2**16), ""),
    ],
)
def test_stranger_at_a_sender_with_tls_is_sent_away_counted_and_named_while_others_go_on(
    router: TcpRouter, far: TlsIdentity, clock: Clock, log: io.StringIO, sent: bytes, why: str
) -> None:
    with ExitStack() as stack:
        friend = stack.enter_context(closing(Friend(router, far)))
        stranger = stack.enter_context(closing(socket.create_connection(split_address(router.address), timeout=5.0)))
        address = f"127.0.0.1:{stranger.getsockname()[1]}"
        stranger.sendall(sent)
        wait_for(lambda: router.receive() is None and len(router._peers) + router.n_refused == 2)
        for _ in range(8):
            clock.now += TIMEOUT_S / 4
            friend.ask()
        assert len(router._peers) == 1
    assert router.n_refused == 1
    logged = log.getvalue()
    assert "connection_ended" in logged
    assert address in logged
    assert why in logged


def test_many_that_say_nothing_keep_nobody_waiting_and_are_sent_away(
    router: TcpRouter, far: TlsIdentity, clock: Clock
) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(closing(socket.create_connection(split_address(router.address), timeout=5.0)))
        friend = stack.enter_context(closing(Friend(router, far)))
        assert len(router._peers) == 101
        for _ in range(8):
            clock.now += TIMEOUT_S / 4
            friend.ask()
        assert len(router._peers) == 1
    assert router.n_refused == 100


def test_peer_that_is_trusted_and_then_sends_what_cannot_be_decrypted_is_sent_away(
    router: TcpRouter, far: TlsIdentity, log: io.StringIO
) -> None:
    with (
        closing(Friend(router, far)) as friend,
        closing(TcpDealer(router.address, max_message_bytes=100, identity=far)) as dealer,
    ):
        dealer.send(b"hello")
        wait_for(lambda: dealer.receive() is None and router.receive() is not None)
        assert dealer._socket is not None
        dealer._socket.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        wait_for(lambda: router.receive() is None and len(router._peers) == 1)
        wait_for(lambda: dealer.receive() is None and bool(dealer.failure))
        friend.ask()
    assert "connection_ended" in log.getvalue()


def test_certificates_are_read_again_for_new_connections(
    router: TcpRouter,
    far: TlsIdentity,
    certificates: Certificates,
    stranger: trustme.CA,
    authority: trustme.CA,
) -> None:
    foreign = Certificates(certificates.folder / "foreign", stranger).write("far", trusted=authority)
    late = TlsIdentity(foreign, is_server=False)
    assert "the peer refuses this side" in try_to_connect(router, late)
    trusted = certificates.folder / "near-ca.pem"
    with trusted.open("ab") as file:
        file.write(stranger.cert_pem.bytes())
    with closing(Friend(router, late)), closing(Friend(router, far)):
        assert len(router._peers) == 2


def test_one_receiver_is_let_in_by_its_own_certificate_and_another_of_its_authority_is_not(
    router: TcpRouter, far: TlsIdentity, certificates: Certificates
) -> None:
    other = TlsIdentity(certificates.write("other", host="other.site"), is_server=False)
    (certificates.folder / "near-ca.pem").write_bytes((certificates.folder / "far-cert.pem").read_bytes())
    with closing(Friend(router, far)):
        assert "the peer refuses this side" in try_to_connect(router, other)


def test_files_that_cannot_be_used_any_more_are_told_and_what_was_read_before_stays(
    router: TcpRouter, far: TlsIdentity, certificates: Certificates, log: io.StringIO
) -> None:
    (certificates.folder / "near-key.pem").write_text("nothing")
    with closing(Friend(router, far)):
        assert "certificates_not_read_again" in log.getvalue()
    (certificates.folder / "near-cert.pem").unlink()
    with closing(Friend(router, far)):
        assert "near-cert.pem" in log.getvalue()


def test_connection_ends_before_its_keys_have_been_used_for_too_long(
    router: TcpRouter, far: TlsIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_transport, "MAX_RECORDS", 5)
    with closing(TcpDealer(router.address, max_message_bytes=MAX_MESSAGE_BYTES, identity=far)) as dealer:
        dealer.send(b"hello")
        received: list[tuple[bytes, bytes]] = []

        def has_come() -> bool:
            assert dealer.receive() is None
            message = router.receive()
            received.extend([message] if message is not None else [])
            return bool(received)

        wait_for(has_come)
        peer = router.peer(received[0][0])
        assert peer.send(bytes(2**17))
        peer.transmit()
        wait_for(lambda: router.receive() is None and dealer.receive() is None and bool(dealer.failure))
        assert "keys" in dealer.failure


def test_router_names_the_certificate_that_it_was_shown(router: TcpRouter, far: TlsIdentity, log: io.StringIO) -> None:
    with closing(Friend(router, far)):
        logged = log.getvalue()
    assert "connection_secured" in logged
    assert '"certificate": "far"' in logged


def test_other_version_of_the_framing_is_told_from_another_protocol() -> None:
    assert "version 2" in what_is_wrong_with(GREETING[:-1] + b"\x02")
    assert what_is_wrong_with(b"SSH-2.0-") == "the peer speaks another protocol"
    assert "TLS" in what_is_wrong_with(b"\x15\x03\x01\x00\x02\x02\x46")


def test_peer_that_takes_no_answers_costs_no_more_however_short_they_are() -> None:
    with (
        closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=TIMEOUT_S)) as router,
        closing(socket.create_connection(split_address(router.address))),
    ):
        wait_for(lambda: router.receive() is None and bool(router._peers))
        (peer,) = router._peers.values()
        n_sent = 0
        while peer.send(b"x"):
            n_sent += 1
            assert n_sent < 10**7
        assert len(peer._outgoing._parts) < 1100


class Pipe:
    """One direction between two ends of TLS, of which the test lets pieces through."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self._source, self._target = source, target
        self._held = b""

    def pass_on(self, n_bytes: int) -> None:
        with suppress(BlockingIOError):
            if not self._held:
                self._held = self._source.recv(n_bytes)
            self._held = self._held[self._target.send(self._held) :]


SIZES = st.one_of(st.integers(0, 40), st.integers(0, 300_000), st.sampled_from([2**14, 2**14 - 4, 2**18 - 4]))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    sizes=st.lists(st.tuples(SIZES, st.booleans()), max_size=10), pieces=st.lists(st.integers(1, 70_000), max_size=40)
)
def test_messages_come_through_tls_as_they_were_however_the_network_cuts_them(
    near: TlsIdentity, far: TlsIdentity, sizes: list[tuple[int, bool]], pieces: list[int]
) -> None:
    messages = [bytes([i + 1]) * size for i, (size, _) in enumerate(sizes)]
    with ExitStack() as stack:
        ends = [stack.enter_context(closing(end)) for _ in range(2) for end in socket.socketpair()]
        for end in ends:
            end.setblocking(False)
        here, relayed, to_there, there = ends
        pipes = Pipe(relayed, to_there), Pipe(to_there, relayed)
        sending = TlsTransport(here, near.context(), None, 2**14)
        receiving = TlsTransport(there, far.context(), "127.0.0.1", 2**16)
        outgoing, incoming = Outgoing(sending), Incoming(receiving, MAX_MESSAGE_BYTES)
        back = Outgoing(receiving)
        waiting, got = list(messages), []
        targets = [bytearray(size) for size, _ in sizes]
        cuts = iter(pieces)
        while len(got) < len(messages):
            if waiting and outgoing.put(memoryview(waiting[0])) is not None:
                waiting.pop(0)
            outgoing.transmit()
            back.transmit()
            for pipe in pipes:
                pipe.pass_on(next(cuts, 50_000))
            n = len(got)
            if sizes[n][1]:
                is_there = incoming.receive_into(memoryview(targets[n])) is not None
                message = bytes(targets[n]) if is_there else None
            else:
                message = incoming.receive()
            got.extend([message] if message is not None else [])
        assert got == messages


def test_waking_up_waits_for_no_more_than_will_come(
    near: TlsIdentity, far: TlsIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part of a record lies in the transport already: were so much more awaited, nobody would ever wake up."""
    marks: list[int] = []
    monkeypatch.setattr(tls_transport, "set_low_water_mark", lambda _, n_bytes: marks.append(n_bytes))
    one, other = socket.socketpair()
    with closing(one), closing(other):
        transport = TlsTransport(one, near.context(), None, 2**14)
        for n_bytes in (1, 2**14, 2**20):
            transport.wake_up_for(n_bytes)
    assert marks[:2] == [1, 1]
    assert 2**20 - 2**15 < marks[2] <= 2**20 - 2**14


def test_requests_of_a_trusted_peer_are_bounded(router: TcpRouter, far: TlsIdentity, log: io.StringIO) -> None:
    with closing(socket.create_connection(split_address(router.address), timeout=5.0)) as connection:
        connection.setblocking(False)
        transport = TlsTransport(connection, far.context(), "127.0.0.1", 2**14)
        sent = GREETING + LENGTH.pack(2**32 - 1) + bytes(1000)

        def is_sent() -> bool:
            nonlocal sent
            assert router.receive() is None
            try:
                sent = sent[transport.send([sent]) :]
            except BlockingIOError:
                return False
            return not sent

        wait_for(is_sent)
        wait_for(lambda: router.receive() is None and not router._peers)
    assert "the peer sends a message of 4294967295 bytes" in log.getvalue()
