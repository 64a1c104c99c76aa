"""Waking the listeners of this host; any of the two ends may come first, and go."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import zmq

from std_daq.errors import PortError
from std_daq.streams.wake_line import WakeLine, WakeLines

TRIES = 100


def is_woken(line: WakeLine, *publishers: WakeLines) -> bool:
    """Ring until the listener hears it; it may have to connect first."""
    for _ in range(TRIES):
        for publisher in publishers:
            publisher.ring()
        if line.wait(0.05):
            return True
    return False


def happens(what: Callable[[], bool]) -> bool:
    return any(what() for _ in range(TRIES))


def test_listener_that_came_first_is_woken(runtime: Path) -> None:
    line = WakeLine(runtime / "wake")
    assert not line.wait(0.0)
    publisher = WakeLines(runtime / "wake")
    assert is_woken(line, publisher)
    line.close()
    publisher.close()


def test_all_that_was_rung_is_taken_at_once(runtime: Path) -> None:
    publisher = WakeLines(runtime / "wake")
    line = WakeLine(runtime / "wake")
    for _ in range(10):
        publisher.ring()
    assert line.wait(1.0)
    assert not line.wait(0.0)
    line.close()
    publisher.close()


def test_listener_is_woken_by_each_of_several_publishers(runtime: Path) -> None:
    paths = [runtime / "wake-0", runtime / "wake-1"]
    line = WakeLine(*paths)
    for path in paths:
        publisher = WakeLines(path)
        assert is_woken(line, publisher)
        publisher.close()
    line.close()


def test_every_listener_is_woken(runtime: Path) -> None:
    publisher = WakeLines(runtime / "wake")
    lines = [WakeLine(runtime / "wake") for _ in range(3)]
    publisher.ring()
    assert [line.wait(1.0) for line in lines] == [True] * 3
    for line in lines:
        line.close()
    publisher.close()


def test_publisher_may_be_killed_and_come_again(runtime: Path) -> None:
    publisher = WakeLines(runtime / "wake")
    line = WakeLine(runtime / "wake")
    assert is_woken(line, publisher)
    publisher.close()
    assert not line.wait(0.0)
    successor = WakeLines(runtime / "wake")  # its predecessor's socket is still there
    assert is_woken(line, successor)
    line.close()
    successor.close()


def test_listener_that_goes_or_does_not_listen_holds_nobody_up(runtime: Path) -> None:
    publisher = WakeLines(runtime / "wake")
    gone, stuck, awake = (WakeLine(runtime / "wake") for _ in range(3))
    publisher.ring()
    gone.close()
    for _ in range(10_000):
        publisher.ring()
    assert awake.wait(1.0)
    assert stuck.wait(0.0)
    assert not stuck.wait(0.0)
    for line in (stuck, awake):
        line.close()
    publisher.close()


def test_publisher_without_a_descriptor_left_goes_on_and_takes_the_listener_later(
    runtime: Path, no_descriptor_left: Callable[[], AbstractContextManager[None]]
) -> None:
    publisher = WakeLines(runtime / "wake")
    line = WakeLine(runtime / "wake")
    with no_descriptor_left():
        publisher.ring()
    assert not line.wait(0.0)
    publisher.ring()
    assert line.wait(1.0)
    line.close()
    publisher.close()


def test_line_can_be_polled_along_with_other_sockets(runtime: Path) -> None:
    publisher = WakeLines(runtime / "wake")
    line = WakeLine(runtime / "wake")
    poller = zmq.Poller()
    poller.register(line, zmq.POLLIN)
    assert not poller.poll(0)
    publisher.ring()
    assert poller.poll(1000)
    assert line.wait(0.0)
    assert not poller.poll(0)
    publisher.close()
    assert happens(lambda: bool(poller.poll(10)))
    assert not line.wait(0.0)
    assert not poller.poll(0), "a publisher that has gone is not told of again"
    line.close()


def test_place_that_cannot_be_bound_is_named(runtime: Path) -> None:
    with pytest.raises(PortError, match=r"nowhere/wake cannot be bound"):
        WakeLines(runtime / "nowhere" / "wake")
