"""Work that goes on while somebody looks."""

import threading

import pytest

from std_test_kit.wait import wait_until
from std_web.panels.demand_thread import Demand, DemandThread

WITHIN_S = 10.0


@pytest.fixture
def began() -> threading.Event:
    return threading.Event()


def test_work_begins_with_the_first_look_and_ends_when_nobody_looks(began: threading.Event) -> None:
    def work(demand: Demand) -> None:
        began.set()
        while not demand.wait(0.01):
            pass

    thread = DemandThread("work", work, linger_s=0.2)
    assert not thread.is_running
    thread.look()
    assert began.wait(WITHIN_S)
    wait_until(lambda: not thread.is_running, WITHIN_S)
    began.clear()
    thread.look()
    assert began.wait(WITHIN_S)
    thread.close()
    assert not thread.is_running


def test_work_that_fails_is_told_and_done_again() -> None:
    attempts: list[int] = []
    told = threading.Event()

    def work(demand: Demand) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("it broke")
        told.set()
        demand.wait(WITHIN_S)

    thread = DemandThread("work", work)
    thread.look()
    wait_until(lambda: thread.problem == "it broke" or told.is_set(), WITHIN_S)
    assert told.wait(WITHIN_S)
    assert thread.problem == ""
    thread.close()


def test_nothing_begins_after_the_end(began: threading.Event) -> None:
    thread = DemandThread("work", lambda _: began.set())
    thread.close()
    thread.look()
    assert not thread.is_running
    assert not began.is_set()
