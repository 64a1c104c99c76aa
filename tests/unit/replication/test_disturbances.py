"""Whatever happens in whatever order: each image comes over once, in order, whole, or is listed as lost."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EVENTS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 12)),
    st.tuples(st.just("step"), st.integers(0, 6)),
    st.tuples(st.just("pass"), st.floats(0.0, 1.5)),
    st.tuples(st.sampled_from(["cut", "kill", "restart", "send", "receive"]), st.just(0)),
)
N_BYTES = st.integers(0, 6) | st.integers(0, 300_000)
EVENTS_OVER_TCP = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 12)),
    st.tuples(st.just("step"), N_BYTES),
    st.tuples(st.just("pass"), st.floats(0.0, 1.5)),
    st.tuples(st.sampled_from(["cut", "kill", "restart", "send", "receive"]), st.just(0)),
)
REPLACEMENT = st.tuples(st.just("replace"), st.just(0))


def disturb(servers: Any, event: str, number: float) -> None:
    match event:
        case "publish":
            servers.publish(number)
        case "step":
            servers.step(number)
        case "pass":
            servers.clock.now += number
        case "cut":
            servers.network.cut()
        case "kill":
            servers.reader.read()
            servers.kill_receiver()
        case "replace":
            servers.replace_near_ring()
        case "restart":
            servers.restart_sender()
        case "send":
            servers.sender.step()
        case "receive":
            servers.receiver.step()
            servers.reader.read()


@pytest.mark.long
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    events=st.lists(EVENTS, max_size=40), n_links=st.integers(1, 3), is_chunked=st.booleans(), credit=st.integers(1, 5)
)
def test_each_image_comes_over_once_whole_or_lost(
    open_servers: Callable[..., Any], events: list[tuple[str, Any]], n_links: int, credit: int, *, is_chunked: bool
) -> None:
    shape = (256, 160) if is_chunked else (4, 8)
    with open_servers(shape=shape, near_slots=8, far_slots=32, n_links=n_links, credit=credit) as servers:
        servers.step()
        servers.step()
        for event, number in events:
            disturb(servers, event, number)
        servers.settle()
        assert servers.reader.ids == list(range(servers.n_published))
        assert servers.reader.wrong == set()
        assert servers.reader.whole | servers.reader.lost == set(range(servers.n_published))


@pytest.mark.long
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    events=st.lists(EVENTS | REPLACEMENT, max_size=40),
    n_links=st.integers(1, 3),
    is_chunked=st.booleans(),
    credit=st.integers(1, 5),
)
def test_ring_that_is_replaced_takes_along_what_nobody_had_asked_for_and_nothing_else(
    open_servers: Callable[..., Any], events: list[tuple[str, Any]], n_links: int, credit: int, *, is_chunked: bool
) -> None:
    shape = (256, 160) if is_chunked else (4, 8)
    with open_servers(shape=shape, near_slots=8, far_slots=32, n_links=n_links, credit=credit) as servers:
        servers.step()
        servers.step()
        for event, number in events:
            disturb(servers, event, number)
        servers.replace_near_ring()
        n_before = servers.n_published
        servers.publish(5)
        servers.settle_until(lambda: servers.n_published - 1 in servers.reader.ids)
        assert servers.reader.ids == sorted(set(servers.reader.ids))
        assert servers.reader.wrong == set()
        assert servers.reader.ids[-5:] == list(range(n_before, n_before + 5))


@pytest.mark.long
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    events=st.lists(EVENTS_OVER_TCP, max_size=40),
    n_links=st.integers(1, 2),
    is_chunked=st.booleans(),
    credit=st.integers(1, 5),
)
def test_each_image_comes_over_once_whole_or_lost_though_connections_are_cut_at_any_byte(
    open_servers: Callable[..., Any], events: list[tuple[str, Any]], n_links: int, credit: int, *, is_chunked: bool
) -> None:
    options = {"shape": (256, 160) if is_chunked else (4, 8), "n_links": n_links, "credit": credit, "has_tcp": True}
    with open_servers(near_slots=8, far_slots=32, **options) as servers:
        servers.step()
        servers.settle_until(lambda: all(link.is_welcome for link in servers.receiver._links))
        for event, number in events:
            disturb(servers, event, number)
        servers.settle()
        assert servers.reader.ids == list(range(servers.n_published))
        assert servers.reader.wrong == set()
        assert servers.reader.whole | servers.reader.lost == set(range(servers.n_published))
