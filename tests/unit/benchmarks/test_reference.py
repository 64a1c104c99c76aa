"""References are compiled for this machine when they are needed."""

from pathlib import Path

import numpy as np
import pytest

from std_benchmarks import reference
from std_daq.errors import ResourceError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    return reference.cache_folder()


def test_compiled_once_and_kept(cache: Path) -> None:
    library = reference.load("memory")
    source, target = np.arange(100, dtype=np.uint8), np.zeros(100, np.uint8)
    library.copy.argtypes = reference.POINTER, reference.POINTER, reference.SIZE, reference.SIZE
    library.copy(target.ctypes.data, source.ctypes.data, 100, 1)
    assert np.array_equal(source, target)
    (file,) = cache.iterdir()
    compiled_at = file.stat().st_mtime_ns
    reference.load("memory")
    assert [path.stat().st_mtime_ns for path in cache.iterdir()] == [compiled_at]


@pytest.mark.parametrize("name", sorted(path.stem for path in reference.source("memory").parent.glob("*.c")))
def test_every_reference_compiles_without_a_warning(name: str) -> None:
    reference.load(name)


def test_no_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="apt install gcc"):
        reference.load("memory")


def test_unknown_reference_says_where_it_was_looked_for() -> None:
    with pytest.raises(ResourceError, match=r"nothing\.c"):
        reference.load("nothing")


def test_what_the_compiler_says_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = tmp_path / "bad.c"
    bad.write_text("int f(void) { return missing; }\n")
    monkeypatch.setattr(reference, "_FOLDER", tmp_path)
    with pytest.raises(ResourceError, match="missing"):
        reference.load("bad")
