"""Who has keys meets who has none: both sides are told, and nothing else happens."""

import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from std_daq.streams.curve_keys import make_keys, read_client_keys, read_server_keys
from std_daq.streams.dealer import Dealer
from std_daq.streams.framing import GREETING, split_address, what_is_wrong_with
from std_daq.streams.router import Router
from std_daq.streams.tcp_dealer import TcpDealer
from std_daq.streams.tcp_router import TcpRouter

LARGEST_BYTES = 2**20


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("has_keys", [False, True])
def test_sender_without_keys_tells_of_a_receiver_that_speaks_zmq(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, has_keys: bool
) -> None:
    public, _ = make_keys(tmp_path, "near")
    _, secret = make_keys(tmp_path, "far")
    keys = read_client_keys(secret, public) if has_keys else None
    logged = ""

    def is_told() -> bool:
        nonlocal logged
        assert router.receive() is None
        logged += capsys.readouterr().err
        return "connection_ended" in logged

    with (
        closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=5.0)) as router,
        closing(
            Dealer(router.address, queue_messages=4, largest_bytes=LARGEST_BYTES, timeout_s=5.0, keys=keys)
        ) as dealer,
    ):
        dealer.send(b"hello")
        wait_for(is_told)
    assert "it speaks ZMQ" in logged
    assert "127.0.0.1" in logged


@pytest.mark.parametrize("has_keys", [False, True])
def test_receiver_without_keys_is_told_that_its_sender_speaks_zmq(tmp_path: Path, *, has_keys: bool) -> None:
    _, secret = make_keys(tmp_path, "near")
    (clients := tmp_path / "clients").mkdir()
    keys = read_server_keys(secret, clients) if has_keys else None
    with (
        closing(Router("tcp://127.0.0.1:0", queue_messages=4, timeout_s=5.0, keys=keys)) as router,
        closing(TcpDealer(router.address, largest_bytes=LARGEST_BYTES)) as dealer,
    ):
        dealer.send(b"hello")
        wait_for(lambda: dealer.receive() is None and bool(dealer.failure))
        assert "it speaks ZMQ" in dealer.failure or "has it keys and this side none" in dealer.failure
        assert router.receive() is None


def test_other_version_of_the_framing_is_told_from_another_protocol() -> None:
    assert "version 2" in what_is_wrong_with(GREETING[:-1] + b"\x02")
    assert what_is_wrong_with(b"SSH-2.0-") == "it speaks another protocol"


def test_peer_that_takes_no_answers_costs_no_more_however_short_they_are() -> None:
    with (
        closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=5.0)) as router,
        closing(socket.create_connection(split_address(router.address))),
    ):
        wait_for(lambda: router.receive() is None and bool(router._peers))
        (peer,) = router._peers.values()
        n_sent = 0
        while peer.send(b"x"):
            n_sent += 1
            assert n_sent < 10**7
        assert len(peer._outgoing._parts) < 1100
