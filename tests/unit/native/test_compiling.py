import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import types

from std_daq.native import compiling as compiling_module
from std_daq.native import numba_settings
from std_daq.native.compiling import compiling, is_compiled, observed_by
from std_daq.native.jit import kernel, njit

COMPILE_AS_TOLD = """
import sys
import std_daq.native.jit
from std_daq.native.compiling import compiling, is_compiled
print("ready", flush=True)
sys.stdin.readline()
with compiling("one"):
    print("found" if is_compiled("one") else "compiled")
"""
PIXELS = {name: types.Array(getattr(types, name), 1, "C", readonly=True) for name in ("uint8", "uint16")}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache for each test."""
    for name in ("CACHE_DIR", "CPU_NAME"):  # afterwards numba has again what it had
        monkeypatch.setattr(numba.config, name, getattr(numba.config, name))
    monkeypatch.setitem(numba_settings.kept, "CACHE_DIR", str(tmp_path))
    numba_settings.restore()
    return tmp_path


def make_sum():
    @kernel({name: types.int64(array) for name, array in PIXELS.items()}, cache=False)
    def total(pixels):
        total = 0
        for pixel in pixels:
            total += pixel
        return total

    return total


def test_function_is_compiled_once_somebody_needs_it_and_for_no_other_pixels() -> None:
    total = make_sum()
    assert total.pixels == ("uint8", "uint16")
    assert total(np.ones(3, np.uint16)) == 3
    assert total.pixels == ("uint8",)
    assert total(np.ones(4, np.uint8)) == 4
    assert total.pixels == ()


def test_function_that_was_compiled_ahead_compiles_nothing_when_it_is_called() -> None:
    total = make_sum()
    total.compile("uint8")
    told: list[str] = []
    with observed_by(lambda name, seconds: told.append(name)):
        assert total(np.ones(4, np.uint8)) == 4
        total.compile("uint8")
    assert told == []


def test_arguments_that_it_is_not_declared_for_are_refused_and_compile_nothing() -> None:
    total = make_sum()
    with pytest.raises(TypeError, match=r"total is not declared for array\(float64"):
        total(np.ones(3))
    assert total.pixels == ("uint8", "uint16")
    total(np.ones(3, np.uint8))
    total(np.ones(3, np.uint16))
    with pytest.raises(TypeError):
        total(np.ones(3))


def test_it_returns_what_the_signature_says_also_where_numba_would_choose_another_type() -> None:
    @kernel(types.uint8(types.uint8), cache=False)
    def following(number):
        return number + 1

    assert following(255) == 0
    assert following.py_func(255) == 256


def test_threads_that_call_it_at_once_compile_it_once() -> None:
    total = make_sum()
    told: list[tuple[str, bool]] = []
    with observed_by(lambda name, seconds: told.append((name, seconds is None))):
        threads = [threading.Thread(target=total, args=(np.ones(3, np.uint8),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [begins for _, begins in told] == [True, False]
    assert told[0][0].endswith("total.uint8")


def test_call_that_comes_while_it_is_compiled_for_other_pixels_compiles_nothing() -> None:
    total = make_sum()
    total.compile("uint8")
    sums: list[int] = []
    # An array that may be written to is not of the declared type; it is taken as one that is only read.
    with observed_by(lambda name, seconds: sums.append(total(np.ones(4, np.uint8)))):
        total.compile("uint16")
    assert sums == [4, 4]
    assert [signature.args[0] for signature in total._dispatcher.nopython_signatures] == list(PIXELS.values())


def test_njit_runs_without_python_s_lock_and_keeps_its_code_unless_it_becomes_part_of_its_callers() -> None:
    def function():
        pass

    assert njit(function).targetoptions["nogil"]
    assert njit(inline="always")(function).targetoptions["nogil"]
    assert njit(function).stats.cache_path is not None
    assert njit(inline="always")(function).stats.cache_path is None


def test_of_processes_that_need_a_function_at_once_one_compiles(cache: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COMPILE_AS_TOLD],
            env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert sorted(process.communicate(timeout=60)[0] for process in processes) == ["compiled\n", "found\n", "found\n"]


def test_what_failed_to_compile_is_tried_again() -> None:
    with pytest.raises(ZeroDivisionError), compiling("broken"):
        1 / 0  # noqa: B018
    assert not is_compiled("broken")
    with compiling("broken"):
        pass
    assert is_compiled("broken")


@pytest.mark.timeout(20)  # it would wait for ever
def test_what_is_compiled_waits_for_nobody(cache: Path) -> None:
    with compiling("one"):
        pass
    [file] = (cache / "compiled").iterdir()
    with file.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with compiling("one"):
            pass


def test_code_for_another_processor_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with compiling("one"):
        pass
    assert is_compiled("one")
    monkeypatch.setitem(numba_settings.kept, "CPU_NAME", "x86-64-v2")
    assert not is_compiled("one")


def test_lock_that_somebody_holds_for_ever_delays_and_no_more(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling_module, "WAIT_S", 0.05)
    with compiling("other"):
        pass
    file = next((cache / "compiled").iterdir())
    held = file.with_name(file.name.replace("other", "one"))
    with held.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with compiling("one"):
            pass
    assert is_compiled("one")


def test_other_users_cannot_open_a_lock(cache: Path) -> None:
    with compiling("one"):
        pass
    [file] = (cache / "compiled").iterdir()
    assert file.stat().st_mode & 0o007 == 0
