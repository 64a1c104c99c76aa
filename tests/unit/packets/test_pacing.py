import threading

import pytest

from std_daq.packets.pacing import Pacer


class Clock:
    """Time that passes only in sleeps, and a little with every look at the clock."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000
        self.slept_s: list[float] = []

    def __call__(self) -> int:
        self.now_ns += 1000
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_ns += round(seconds * 1e9)


def pacer(clock: Clock, rate_hz: float, max_lag_s: float = 0.05) -> Pacer:
    return Pacer(rate_hz, max_lag_s=max_lag_s, sleep=clock.sleep, clock_ns=clock)


def test_the_first_wait_returns_at_once() -> None:
    clock = Clock()
    assert pacer(clock, 1.0).wait()
    assert clock.slept_s == []


def test_many_periods_do_not_drift() -> None:
    clock = Clock()
    paced = pacer(clock, 300.0)
    start_ns = clock.now_ns
    for _ in range(3001):
        paced.wait()
    assert clock.now_ns - start_ns == pytest.approx(10e9, abs=20e3)


def test_shares_of_a_period_add_up() -> None:
    clock = Clock()
    paced = pacer(clock, 100.0)
    start_ns = clock.now_ns
    for share in [0.25, 0.5, 0.25] * 100:
        paced.wait(share)
    paced.wait()
    assert clock.now_ns - start_ns == pytest.approx(1e9, abs=20e3)


def test_a_small_lag_is_caught_up() -> None:
    clock = Clock()
    paced = pacer(clock, 1000.0)
    start_ns = clock.now_ns
    paced.wait()
    clock.sleep(0.0105)
    clock.slept_s.clear()
    for _ in range(10):
        paced.wait()
    assert clock.slept_s == []
    paced.wait()
    assert clock.now_ns - start_ns == pytest.approx(11e6, abs=20e3)
    assert paced.forgotten_s == 0


def test_a_long_lag_is_forgotten_but_for_the_bound() -> None:
    clock = Clock()
    paced = pacer(clock, 1000.0, max_lag_s=0.005)
    paced.wait()
    clock.sleep(1.0)
    clock.slept_s.clear()
    n_burst = 0
    while not clock.slept_s:
        paced.wait()
        n_burst += 1
    assert n_burst <= 7
    assert paced.forgotten_s == pytest.approx(0.994, abs=0.001)


def test_a_stop_ends_the_wait() -> None:
    stop = threading.Event()
    stop.set()
    paced = Pacer(0.001, sleep=stop.wait)
    assert paced.wait()
    assert not paced.wait()


@pytest.mark.parametrize("rate_hz", [0, -1, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Pacer(rate_hz)
