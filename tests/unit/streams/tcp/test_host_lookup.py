"""Where a host is, and who waits for it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from std_daq.streams.tcp.dealer import TcpDealer
from std_daq.streams.tcp.host_lookup import HostLookup
from std_daq.streams.tcp.router import TcpRouter

LOOPBACK, NOWHERE = "127.0.0.1", "127.0.0.77"


class Resolver:
    """Stands in for the system's: answers when the test says so."""

    def __init__(self, places: list[str]) -> None:
        self.may_answer = threading.Event()
        self._places = places

    def __call__(self, host: str, port: int, *, type: int, flags: int) -> list[Any]:  # noqa: A002 - the system's name
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        assert self.may_answer.wait(10.0)
        return [(socket.AF_INET, type, 0, "", (place, port)) for place in self._places]


@pytest.fixture
def make_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Resolver]]:
    """Makes a resolver and puts it in the system's place: ``make_resolver("127.0.0.1")``."""
    made: list[Resolver] = []

    def make(*places: str) -> Resolver:
        made.append(Resolver(list(places)))
        monkeypatch.setattr(socket, "getaddrinfo", made[-1])
        return made[-1]

    yield make
    for resolver in made:
        resolver.may_answer.set()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", ("127.0.0.1", 5)), ("::1", ("::1", 5, 0, 0))])
def test_number_is_known_at_once(host: str, address: tuple[object, ...]) -> None:
    places = HostLookup(host, 5).answer()
    assert places is not None
    assert [place.address for place in places] == [address]


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "a" * 100])
def test_host_that_is_none_is_told(host: str) -> None:
    lookup = HostLookup(host, 5)

    def is_told() -> bool:
        try:
            assert lookup.answer() is None
        except OSError:
            return True
        return False

    wait_for(is_told)


def test_nobody_waits_for_the_resolver_and_what_was_sent_before_arrives(make_resolver: Callable[..., Resolver]) -> None:
    with closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=5.0)) as router:
        port = int(router.address.rpartition(":")[2])
        resolver = make_resolver(LOOPBACK)
        with closing(TcpDealer(f"tcp://far.site:{port}", max_message_bytes=100)) as dealer:
            dealer.send(b"hello")
            assert dealer.receive() is None
            assert not dealer.failure
            resolver.may_answer.set()
            received: list[tuple[bytes, bytes]] = []

            def has_come() -> bool:
                dealer.receive()
                message = router.receive()
                received.extend([message] if message is not None else [])
                return bool(received)

            wait_for(has_come)
            assert received[0][1] == b"hello"


def test_dealer_may_be_closed_while_the_resolver_is_asked(make_resolver: Callable[..., Resolver]) -> None:
    resolver = make_resolver(LOOPBACK)
    TcpDealer("tcp://far.site:5", max_message_bytes=100).close()
    resolver.may_answer.set()


def test_next_place_of_a_host_is_tried_where_the_first_does_not_answer(make_resolver: Callable[..., Resolver]) -> None:
    with closing(TcpRouter("tcp://127.0.0.1:0", timeout_s=5.0)) as router:
        port = int(router.address.rpartition(":")[2])
        make_resolver(NOWHERE, LOOPBACK).may_answer.set()
        with closing(TcpDealer(f"tcp://far.site:{port}", max_message_bytes=100)) as dealer:
            dealer.send(b"hello")
            wait_for(lambda: dealer.receive() is None and router.receive() is not None)
            assert not dealer.failure


def test_host_none_of_whose_places_answers_is_told(make_resolver: Callable[..., Resolver]) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    make_resolver(NOWHERE, LOOPBACK).may_answer.set()
    with closing(TcpDealer(f"tcp://far.site:{port}", max_message_bytes=100)) as dealer:
        dealer.send(b"hello")
        wait_for(lambda: dealer.receive() is None and bool(dealer.failure))
        assert "refused" in dealer.failure
