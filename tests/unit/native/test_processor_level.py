from pathlib import Path

import numba
import pytest

from std_daq.native import numba_settings
from std_daq.native.processor_level import LEVELS, use_processor_level

PLAIN = "fpu sse sse2 sse4_2"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test sets is as before afterwards."""
    monkeypatch.delenv("STD_DAQ_CPU", raising=False)
    monkeypatch.setattr(numba_settings, "kept", {})
    monkeypatch.setattr(numba.config, "CPU_NAME", None)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", None)


def cpuinfo(folder: Path, flags: str) -> Path:
    file = folder / "cpuinfo"
    file.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: {flags}\n")
    return file


def test_without_a_word_code_is_for_this_processor(tmp_path: Path) -> None:
    assert use_processor_level(cpuinfo(tmp_path, PLAIN)) == "host"
    assert numba.config.CPU_NAME is None


@pytest.mark.parametrize("level", LEVELS)
def test_code_is_for_the_level_of_the_environment_and_for_nothing_beyond_it(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STD_DAQ_CPU", level)
    assert use_processor_level(cpuinfo(tmp_path, f"{PLAIN} {' '.join(LEVELS[level])} avx512_vbmi")) == level
    assert (level, "") == (numba.config.CPU_NAME, numba.config.CPU_FEATURES)


@pytest.mark.parametrize("missing", sorted(LEVELS["x86-64-v3"]))
def test_on_a_lesser_processor_code_is_for_that_one_and_it_is_said_why(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STD_DAQ_CPU", "x86-64-v3")
    assert use_processor_level(cpuinfo(tmp_path, " ".join(LEVELS["x86-64-v3"] - {missing}))) == "host"
    assert numba.config.CPU_NAME is None
    assert capsys.readouterr().err == f"compiling for this processor: it is no x86-64-v3, it lacks {missing}\n"


def test_a_processor_that_tells_nothing_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STD_DAQ_CPU", "x86-64-v3")
    assert use_processor_level(tmp_path / "absent") == "host"


def test_an_unknown_level_is_refused_with_those_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STD_DAQ_CPU", "x86-64-v33")
    with pytest.raises(ValueError, match="'x86-64-v33'; known: x86-64-v2, x86-64-v3, x86-64-v4, host"):
        use_processor_level()
