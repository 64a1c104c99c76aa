"""Filters of clients: exact for each module and product by itself."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_live_view.live_frame import FrameKey, LiveFrame
from std_live_view.selection import MAX_ALL_WAITING, MAX_WAIT_S, MAX_WAITING, MAX_WAITING_BYTES, Selection


def frame_of(module_id: int, number: int, *, is_pulse_height: bool = False) -> LiveFrame:
    frame = LiveFrame(
        FrameKey(module_id, "ph256" if is_pulse_height else "img16"),
        is_pulse_height=is_pulse_height,
        header={},
        pixels=np.zeros((2, 2), "<u2"),
        file="",
        frame_number=number,
        server_ns=0,
    )
    frame.frame_id = number
    return frame


def select(interval_s: float, *module_ids: int, movie: bool = True, pulse_height: bool = True) -> Selection:
    return Selection(interval_s=interval_s, module_ids=module_ids, wants_movie=movie, wants_pulse_height=pulse_height)


Arrival = tuple[float, int, int]  # when, module, number


def play(selection: Selection, arrivals: Sequence[Arrival], until_s: float) -> dict[int, list[tuple[float, int]]]:
    """Offer frames as they come, and take each as soon as it is due; returns when each was taken, by module."""
    taken = defaultdict(list)

    def take_until(time_s: float) -> None:
        while (due_s := selection.due_s) is not None and due_s <= time_s:
            take(due_s)

    def take(now_s: float) -> None:
        while (frame := selection.take(now_s)) is not None:
            taken[frame.key.module_id].append((now_s, frame.frame_number))

    for time_s, module_id, number in arrivals:
        take_until(time_s)
        selection.offer(frame_of(module_id, number), time_s)
        take(time_s)
    take_until(until_s)
    return taken


def regular(module_id: int, period_s: float, until_s: float, first_s: float = 0.0) -> list[Arrival]:
    return [(first_s + n * period_s, module_id, n) for n in range(int((until_s - first_s) / period_s))]


@pytest.mark.parametrize("interval_s", [0.05, 0.1, 0.25, 1.0, 8.0])
@pytest.mark.parametrize("period_s", [0.002, 0.01, 0.1, 0.3, 2.0])
def test_client_gets_the_lower_of_its_rate_and_the_modules(interval_s: float, period_s: float) -> None:
    until_s = 40.0
    taken = play(select(interval_s), regular(1, period_s, until_s), until_s)[1]
    expected = until_s / max(interval_s, period_s)
    assert 0.95 * expected <= len(taken) <= expected + 1.5
    assert min(later - earlier for (earlier, _), (later, _) in pairwise(taken)) >= interval_s - 1e-9
    assert taken[0] == (0.0, 0)
    numbers = [number for _, number in taken]
    assert numbers == sorted(set(numbers))


ARRIVALS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 4)), max_size=120).map(
    lambda pairs: [(time_s, module_id, n) for n, (time_s, module_id) in enumerate(sorted(pairs))]
)


@given(arrivals=ARRIVALS, interval_s=st.sampled_from([0.05, 0.5, 3.0]))
def test_no_module_changes_what_comes_of_another(arrivals: list[Arrival], interval_s: float) -> None:
    together = play(select(interval_s), arrivals, 40.0)
    for module_id in {arrival[1] for arrival in arrivals}:
        alone = play(select(interval_s), [one for one in arrivals if one[1] == module_id], 40.0)
        assert together[module_id] == alone[module_id]


@given(arrivals=ARRIVALS, interval_s=st.sampled_from([0.05, 0.5, 3.0]))
def test_each_frame_comes_at_most_once_and_the_newest_of_each_module_always(
    arrivals: list[Arrival], interval_s: float
) -> None:
    selection = select(interval_s)
    taken = play(selection, arrivals, 40.0)
    for module_id, frames in taken.items():
        offered = [number for _, module, number in arrivals if module == module_id]
        numbers = [number for _, number in frames]
        assert numbers == sorted(set(numbers))
        assert set(numbers) <= set(offered)
        assert (numbers[0], numbers[-1]) == (offered[0], offered[-1])
    n_taken = sum(map(len, taken.values()))
    assert selection.n_sent == n_taken
    assert selection.n_by_interval == len(arrivals) - n_taken
    assert selection.n_waiting == 0


@given(
    arrivals=ARRIVALS,
    lateness_s=st.lists(st.floats(0, 0.4), min_size=1, max_size=20),
)
@settings(max_examples=50)
def test_late_server_chooses_the_same_frames(arrivals: list[Arrival], lateness_s: list[float]) -> None:
    punctual = play(select(0.5), arrivals, 40.0)
    late = select(0.5)
    taken = defaultdict(list)
    looks_s = sorted(time_s + lateness_s[n % len(lateness_s)] for n, (time_s, _, _) in enumerate(arrivals))
    events = sorted(
        [(time_s, 1, index) for index, (time_s, _, _) in enumerate(arrivals)] + [(t, 2, 0) for t in looks_s]
    )
    for time_s, kind, index in [*events, (41.0, 2, 0)]:
        if kind == 1:
            _, module_id, number = arrivals[index]
            late.offer(frame_of(module_id, number), time_s)
        while kind == 2 and (frame := late.take(time_s)) is not None:
            taken[frame.key.module_id].append(frame.frame_number)
    assert late.n_by_slow_client == 0 or MAX_WAIT_S < 41
    for module_id, frames in punctual.items():
        assert set(taken[module_id]) <= {number for _, number in frames}
        assert taken[module_id][-1] == frames[-1][1]


def test_frames_that_come_in_bursts_at_a_high_rate_all_reach_a_client_that_wants_them() -> None:
    selection = select(0.002)
    arrivals = [(0.02 * (n // 10), 1, n) for n in range(500)]  # 500 a second, ten at a time
    numbers = [number for _, number in play(selection, arrivals, 2.0)[1]]
    assert len(numbers) >= 0.95 * 500
    assert numbers == sorted(set(numbers))


def test_client_that_takes_nothing_costs_bounded_memory_and_later_gets_the_newest() -> None:
    selection = select(0.001)
    for n in range(10_000):
        selection.offer(frame_of(n % 2, n), 0.001 * n)
    assert selection.n_waiting <= 2 * (MAX_WAITING + 1)
    frames = []
    while (frame := selection.take(20.0)) is not None:
        frames.append(frame.frame_number)
    assert frames == [9998, 9999]
    assert selection.n_by_slow_client == 9998 - selection.n_by_interval


def test_modules_take_turns_where_several_wait() -> None:
    selection = select(0.001)
    for n in range(30):
        for module_id in range(3):
            selection.offer(frame_of(module_id, n), 0.01 * n)
    taken = [selection.take(0.3) for _ in range(9)]
    assert [frame.key.module_id for frame in taken if frame] == [0, 1, 2] * 3


def test_modules_and_types_that_are_not_wanted_never_come() -> None:
    selection = select(0.1, 1, 7, pulse_height=False)
    assert selection.missing_modules == [1, 7]
    assert not selection.offer(frame_of(2, 0), 0.0)
    assert not selection.offer(frame_of(1, 0, is_pulse_height=True), 0.0)
    assert selection.take(1.0) is None
    assert selection.offer(frame_of(1, 1), 1.0)
    assert selection.missing_modules == [7]
    assert selection.due_s is None


def test_products_of_one_module_do_not_replace_each_other() -> None:
    selection = select(1.0)
    selection.offer(frame_of(1, 1), 0.0)
    selection.offer(frame_of(1, 2, is_pulse_height=True), 0.1)
    assert [frame.frame_number for _ in range(2) if (frame := selection.take(0.1))] == [1, 2]


def test_client_that_takes_nothing_costs_a_bounded_number_of_frames_and_bytes() -> None:
    selection, n_modules = select(0.0), 1000
    for module_id in range(n_modules):
        for number in range(MAX_WAITING):
            selection.offer(frame_of(module_id, number), float(number))
    assert selection.n_waiting <= MAX_ALL_WAITING + n_modules
    assert selection.n_waiting + selection.n_by_slow_client == n_modules * MAX_WAITING
    selection = select(0.0)
    for number in range(10):
        frame = frame_of(1, number)
        frame.pixels = np.zeros((4096, 4096), "<u2")
        selection.offer(frame, float(number))
    assert selection.n_waiting == MAX_WAITING_BYTES // frame.pixels.nbytes
