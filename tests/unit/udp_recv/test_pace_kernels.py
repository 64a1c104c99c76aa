"""When the receiving thread wakes up, for senders of which is known when each packet comes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_udp_recv import pace_kernels as p
from std_udp_recv.libc_kernels import compiled

N_UNITS = 128
BUDGET_US = 500
FALL_ASLEEP_NS = 60_000

SleepUs = Callable[..., int]

compiled_sleep_us: SleepUs = compiled(p.sleep_us)


@pytest.fixture(params=["compiled", "as Python"])
def sleep_us(request: pytest.FixtureRequest) -> SleepUs:
    return compiled_sleep_us if request.param == "compiled" else p.sleep_us


class Receiving:
    """Sleeps as the loop does, and counts, while frames come one after the other.

    Attributes
    ----------
    delays_ns
        From the last packet of a frame until the loop is awake, for each frame.
    n_sleeps
        How often it has slept.
    """

    def __init__(self, sleep_us: SleepUs) -> None:
        self._sleep_us = sleep_us
        self._pace = p.make_pace()
        self.delays_ns: list[int] = []
        self.n_sleeps = 0

    def receive(self, period_ns: int, frame_ns: int, n_frames: int) -> None:
        """Receive frames that begin ``period_ns`` after each other and take ``frame_ns`` from first to last packet."""
        arrivals = [
            [frame * period_ns + frame_ns * unit // (N_UNITS - 1) for unit in range(N_UNITS)]
            for frame in range(n_frames)
        ]
        flat = np.array(arrivals).reshape(-1)
        self.delays_ns, self.n_sleeps = [], 0
        n_come = 0
        now_ns = 0
        while n_come < len(flat):
            now_ns = max(now_ns, int(flat[n_come]))  # the loop waits for the next packet
            n_before, n_come = n_come, int(np.searchsorted(flat, now_ns, "right"))
            for frame in range(n_before // N_UNITS, n_come // N_UNITS):
                self.delays_ns.append(now_ns - arrivals[frame][-1])
            newest = (n_come - 1) // N_UNITS
            slept_us = self._sleep_us(self._pace, newest, n_come - newest * N_UNITS, N_UNITS, now_ns, BUDGET_US)
            self.n_sleeps += 1
            now_ns += 1000 * slept_us + FALL_ASLEEP_NS


@pytest.mark.parametrize("frame_us", [100, 300, 450, 800, 1500])
def test_sleep_ends_soon_after_a_burst(sleep_us, frame_us):
    receiving = Receiving(sleep_us)
    receiving.receive(10_000_000, 1000 * frame_us, 50)
    receiving.receive(10_000_000, 1000 * frame_us, 50)
    assert np.median(receiving.delays_ns) < 100_000 + 1000 * frame_us / 8
    assert receiving.n_sleeps / 50 <= 3 + frame_us / BUDGET_US


def test_sleep_follows_a_sender_that_becomes_faster_or_slower(sleep_us):
    receiving = Receiving(sleep_us)
    for frame_us in (800, 150, 800):
        receiving.receive(10_000_000, 1000 * frame_us, 50)
        assert np.median(receiving.delays_ns[25:]) < 200_000


def test_evenly_spread_packets_are_taken_once_a_budget_and_at_the_end_of_a_frame(sleep_us):
    period_ns = 2_100_000
    receiving = Receiving(sleep_us)
    receiving.receive(period_ns, period_ns * (N_UNITS - 1) // N_UNITS, 200)
    n_budgets = period_ns / (1000 * BUDGET_US + FALL_ASLEEP_NS)
    assert receiving.n_sleeps / 200 < n_budgets + 1.5


def test_whole_frame_is_followed_by_a_sleep_of_the_budget(sleep_us):
    pace = p.make_pace()
    assert sleep_us(pace, 7, N_UNITS // 2, N_UNITS, 0, BUDGET_US) == BUDGET_US
    assert sleep_us(pace, 7, N_UNITS, N_UNITS, 100_000, BUDGET_US) == BUDGET_US
    assert sleep_us(pace, 8, N_UNITS // 2, N_UNITS, 10_000_000, BUDGET_US) < 100


@given(
    st.lists(
        st.tuples(st.integers(0, 2**62), st.integers(0, 4096), st.integers(0, 2**46)),
        max_size=30,
    ),
    st.integers(1, 100_000),
)
def test_no_sleep_is_longer_than_the_budget_whatever_came(moments, budget_us):
    pace = p.make_pace()
    now_ns = 0
    for key, n_come, passed_ns in moments:
        now_ns += passed_ns
        assert 0 < compiled_sleep_us(pace, key, n_come, 4096, now_ns, budget_us) <= budget_us
