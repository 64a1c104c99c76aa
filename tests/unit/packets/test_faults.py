from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.packets.faults import FaultInjector

FRAMES = st.lists(st.integers(0, 20), max_size=8)
SETTINGS = st.fixed_dictionaries(
    {
        "loss": st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        "reorder": st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        "duplicate": st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        "window": st.integers(1, 40),
        "seed": st.integers(0, 2**32),
    }
)


def send(injector: FaultInjector, frames: list[int], port: int = 0) -> list[tuple[int, int]]:
    """Return (frame, packet) of everything sent for frames with so many packets."""
    orders = [injector.feed(port, 100 + i, n_packets) for i, n_packets in enumerate(frames)]
    orders.append(injector.flush(port))
    return [
        (int(frame), int(packet)) for order in orders for frame, packet in zip(order.frames, order.packets, strict=True)
    ]


def packets_of(frames: list[int]) -> list[tuple[int, int]]:
    return [(100 + i, packet) for i, n_packets in enumerate(frames) for packet in range(n_packets)]


def named(ledger: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    return [(int(entry["frame"]), int(entry["packet"])) for entry in ledger]


@given(FRAMES)
def test_without_faults_everything_is_sent_once_and_in_order(frames: list[int]) -> None:
    injector = FaultInjector()
    assert send(injector, frames) == packets_of(frames)
    assert len(injector.lost) == len(injector.duplicated) == len(injector.reordered) == 0


@given(FRAMES)
def test_without_faults_nothing_is_held_back(frames: list[int]) -> None:
    injector = FaultInjector()
    assert [len(injector.feed(0, i, n_packets)) for i, n_packets in enumerate(frames)] == frames


@given(FRAMES, SETTINGS)
def test_the_ledger_says_exactly_what_was_lost_and_sent_twice(frames: list[int], settings: dict[str, Any]) -> None:
    injector = FaultInjector(**settings)
    sent = Counter(send(injector, frames))
    every = packets_of(frames)
    assert named(injector.lost) == [packet for packet in every if sent[packet] == 0]
    assert named(injector.duplicated) == [packet for packet in every if sent[packet] == 2]
    assert set(sent) <= set(every)
    assert max(sent.values(), default=0) <= 2


@given(FRAMES, SETTINGS)
def test_the_counts_add_up(frames: list[int], settings: dict[str, Any]) -> None:
    injector = FaultInjector(**settings)
    sent = send(injector, frames)
    assert injector.n_fed == sum(frames)
    assert injector.n_sent == len(sent) == injector.n_fed - injector.n_lost + injector.n_duplicated
    assert injector.n_lost == len(injector.lost)
    assert injector.n_duplicated == len(injector.duplicated)
    assert injector.n_reordered == len(injector.reordered)


@given(FRAMES, SETTINGS)
def test_no_packet_is_overtaken_by_more_than_the_window(frames: list[int], settings: dict[str, Any]) -> None:
    injector = FaultInjector(**settings)
    place = {packet: i for i, packet in enumerate(packets_of(frames))}
    sent = [place[packet] for packet in send(injector, frames)]
    for i, packet in enumerate(sent):
        overtaken_by = {earlier for earlier in sent[:i] if earlier > packet}
        assert len(overtaken_by) <= settings["window"]
        assert max(overtaken_by, default=packet) - packet <= settings["window"]


@pytest.mark.long
@given(FRAMES, SETTINGS)
def test_the_ledger_says_exactly_what_a_receiver_sees_out_of_order(frames: list[int], settings: dict[str, Any]) -> None:
    injector = FaultInjector(**settings)
    sent = send(injector, frames)
    late = set()
    for i, packet in enumerate(sent):
        if packet not in sent[:i] and any(earlier > packet for earlier in sent[:i]):
            late.add(packet)
    assert named(injector.reordered) == sorted(late)


@given(FRAMES, SETTINGS)
def test_packets_that_are_not_held_back_keep_their_order(frames: list[int], settings: dict[str, Any]) -> None:
    injector = FaultInjector(**settings | {"duplicate": 0.0})
    sent = send(injector, frames)
    late = set(named(injector.reordered))
    assert all(a < b for a, b in pairwise(packet for packet in sent if packet not in late))


@pytest.mark.long
@given(FRAMES, SETTINGS)
def test_the_cut_into_frames_does_not_matter(frames: list[int], settings: dict[str, Any]) -> None:
    """So the faults depend on the packets' places only, not on when they are fed."""
    in_frames = packets_of(frames)
    at_once = packets_of([sum(frames)])
    sent = [in_frames.index(packet) for packet in send(FaultInjector(**settings), frames)]
    assert sent == [at_once.index(packet) for packet in send(FaultInjector(**settings), [sum(frames)])]


@given(SETTINGS)
def test_ports_do_not_influence_each_other(settings: dict[str, Any]) -> None:
    alone, together = FaultInjector(**settings), FaultInjector(**settings)
    expected = send(alone, [30], port=1)
    first = together.feed(0, 100, 30)
    assert send(together, [30], port=1) == expected
    assert len(first) + len(together.flush(0)) == together.n_sent - len(expected)


def test_one_fault_s_probability_does_not_change_another_fault() -> None:
    lossy = FaultInjector(loss=0.1, seed=4)
    all_faults = FaultInjector(loss=0.1, reorder=0.5, duplicate=0.5, seed=4)
    send(lossy, [1000])
    send(all_faults, [1000])
    assert named(lossy.lost) == named(all_faults.lost)


def test_another_seed_loses_other_packets() -> None:
    lost = []
    for seed in (1, 2):
        injector = FaultInjector(loss=0.1, seed=seed)
        send(injector, [1000])
        lost.append(named(injector.lost))
    assert lost[0] != lost[1]


def test_the_probabilities_are_met() -> None:
    injector = FaultInjector(loss=0.01, reorder=0.1, duplicate=0.001, seed=7)
    send(injector, [100_000])
    assert injector.n_lost == pytest.approx(1000, rel=0.15)
    assert injector.n_duplicated == pytest.approx(100, rel=0.4)
    assert injector.n_reordered == pytest.approx(10_000, rel=0.1)


def test_held_packets_reach_into_later_frames() -> None:
    injector = FaultInjector(reorder=1.0, window=6, seed=1)
    frames = set(injector.feed(0, 0, 4).frames.tolist()) | set(injector.feed(0, 1, 4).frames.tolist())
    third = injector.feed(0, 2, 4)
    assert frames == {0, 1}
    assert {1, 2} <= set(third.frames.tolist())


def test_without_a_ledger_packets_are_only_counted() -> None:
    injector = FaultInjector(loss=0.5, keeps_ledger=False)
    send(injector, [100])
    assert injector.n_lost > 0
    assert len(injector.lost) == 0


@pytest.mark.parametrize("wrong", [{"loss": 1.1}, {"reorder": -0.1}, {"duplicate": float("nan")}, {"window": 0}])
def test_a_setting_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FaultInjector(**wrong)
