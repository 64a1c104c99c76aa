import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from std_daq.packets.frame_steps import RESTART_FRAMES, frame_steps
from std_daq.packets.kernels import follow_frames


def steps_of(*ports: list[int]) -> tuple[list[list[int]], int]:
    steps, n = frame_steps([np.array(keys, np.uint64) for keys in ports])
    return [port.tolist() for port in steps], n


def test_ports_that_lost_frames_stay_in_step() -> None:
    assert steps_of([1, 1, 2, 3], [1, 3, 3], [3]) == ([[0, 0, 1, 2], [0, 2, 2], [2]], 3)


def test_a_late_packet_goes_with_the_frame_during_which_it_came() -> None:
    assert steps_of([1, 2, 1, 2, 3]) == ([[0, 1, 1, 1, 2]], 3)


def test_after_a_restart_of_the_detector_frames_go_on() -> None:
    first, second = [1000, 1001], [1, 2]
    assert steps_of(first + second, first + second) == ([[0, 1, 2, 3]] * 2, 4)


def test_a_port_without_packets_has_no_steps() -> None:
    assert steps_of([], [5]) == ([[], [0]], 1)


@given(st.lists(st.lists(st.integers(0, 100), max_size=30), min_size=1, max_size=4))
def test_the_order_of_each_port_is_kept(ports: list[list[int]]) -> None:
    steps, n = steps_of(*ports)
    for port in steps:
        assert port == sorted(port)
    assert {step for port in steps for step in port} == set(range(n))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30))
def test_frames_are_followed_the_same_compiled_and_in_python(keys: list[int]) -> None:
    results = []
    for function in (follow_frames, follow_frames.py_func):
        highest, epochs = np.zeros(len(keys), np.uint64), np.zeros(len(keys), np.int64)
        function(np.array(keys, np.uint64), RESTART_FRAMES, highest, epochs)
        results.append((highest.tolist(), epochs.tolist()))
    assert results[0] == results[1]
