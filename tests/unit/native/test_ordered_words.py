"""Both kinds of ordered words do the same. That they order is shown where a writer and a reader race each other."""

import os
import subprocess
import sys
import threading
from inspect import isfunction
from types import ModuleType

import numpy as np
import pytest

from std_daq.native import atomics, ordered_words

KINDS = [atomics, ordered_words]


def words(n: int = 4) -> np.ndarray:
    """One word in each header of 24 bytes, as in a ring."""
    return np.zeros(n, [("generation", "<u8"), ("rest", "V16")])["generation"]


def read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0, 1, 2**63, 2**64 - 1])
def test_word_is_read_as_it_was_written(kind: ModuleType, value: int) -> None:
    array = words()
    kind.store_release(array, 1, value)
    kind.publish(array, 3, value)
    assert [kind.load_acquire(read_only(array), index) for index in range(4)] == [0, value, 0, value]


@pytest.mark.parametrize("kind", KINDS)
def test_generations_are_odd_while_a_slot_is_written(kind: ModuleType) -> None:
    array = words()
    assert [kind.begin_write(array, 2), kind.end_write(array, 2), kind.begin_write(array, 2)] == [1, 2, 3]
    assert kind.begin_write(array, 2) == 5, "a writer was killed in between"
    assert kind.end_write(array, 2) == 6
    assert kind.is_unchanged(read_only(array), 2, 6)
    assert not kind.is_unchanged(read_only(array), 2, 4)
    assert array.tolist() == [0, 0, 6, 0]


def test_both_kinds_have_the_same_functions() -> None:
    names = [name for name, value in vars(ordered_words).items() if isfunction(value)]
    assert len(names) == 7
    for name in names:
        assert getattr(ordered_words, name).__doc__ == getattr(atomics, name).__doc__


def test_rings_need_no_numba() -> None:
    rings = "std_daq.imaging.buffers.image_buffer, std_daq.tpc.events.event_buffer"
    program = f"import {rings}, sys; print('numba' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_child_of_a_process_that_fences_all_the_time_can_fence() -> None:
    stop = threading.Event()

    def fence() -> None:
        while not stop.is_set():
            ordered_words.fence()

    thread = threading.Thread(target=fence)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                ordered_words.fence()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()
