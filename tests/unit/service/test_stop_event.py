"""A StopEvent may be set by a signal handler at any instant, and by other threads."""

import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from std_daq.service.stop_event import StopEvent

N_SIGNALS = 1000


@pytest.fixture
def event() -> Iterator[StopEvent]:
    event = StopEvent()
    before = signal.signal(signal.SIGUSR1, lambda *_: event.set())
    yield event
    signal.signal(signal.SIGUSR1, before)


def test_handler_that_comes_at_any_instant_of_a_wait_ends_it(event: StopEvent) -> None:
    chance = random.Random(0)
    main = threading.main_thread().ident
    assert main is not None
    begins = threading.Barrier(2)

    def interrupt() -> None:
        for _ in range(N_SIGNALS):
            begins.wait()
            end_ns = time.monotonic_ns() + chance.randrange(60_000)
            while time.monotonic_ns() < end_ns:
                pass
            signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    for _ in range(N_SIGNALS):
        event.clear()
        begins.wait()
        assert event.wait(5.0)
    thread.join()


def test_another_thread_ends_a_wait(event: StopEvent) -> None:
    thread = threading.Thread(target=event.set)
    thread.start()
    assert event.wait(5.0)
    thread.join()
    assert event.is_set()


def test_wait_ends_at_its_time(event: StopEvent) -> None:
    assert not event.wait(0)
    assert not event.wait(0.001)
    event.set()
    assert event.wait(0)
    assert event.wait()
