import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = """
import os
import std_daq
print(os.environ["NUMBA_CACHE_DIR"])
from std_daq.native.atomics import load_acquire
import numpy as np
load_acquire(np.zeros(1, np.uint64), 0)
print(sum(load_acquire.stats.cache_hits.values()), sum(load_acquire.stats.cache_misses.values()))
"""
# Root writes where nobody may; without its capabilities it does not.
AS_ANYBODY = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.getuid() == 0 else ()
MOUNT_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def start(cache: Path, temporary: Path, before: tuple[str, ...] = ()) -> tuple[Path, int, int]:
    """Call one compiled function in a process of its own; returns its cache and how often that had the code or not."""
    ended = subprocess.run(
        [*before, sys.executable, "-c", PROGRAM],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert ended.returncode == 0, ended.stderr
    path, counts = ended.stdout.splitlines()
    hits, misses = counts.split()
    return Path(path), int(hits), int(misses)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    cache, _, misses = start(folder, folder)
    assert (cache.parent, misses) == (folder, 1)
    return folder


@pytest.fixture
def compiled(compiled_once: Path, tmp_path: Path) -> Path:
    """A cache that has the function's code."""
    return shutil.copytree(compiled_once, tmp_path / "compiled")


def set_writable(folder: Path, mode_bit: int) -> None:
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        path.chmod(0o555 | mode_bit)


@pytest.fixture
def read_only(compiled: Path) -> Iterator[Path]:
    """A cache that has the function's code and may not be written to, as in an image."""
    set_writable(compiled, 0)
    yield compiled
    set_writable(compiled, 0o200)


def test_a_folder_that_can_be_written_to_is_used_itself(compiled: Path, temporary: Path) -> None:
    cache, hits, misses = start(compiled, temporary, AS_ANYBODY)
    assert (cache.parent, hits, misses) == (compiled, 1, 0)
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_code_on_a_read_only_file_system_is_found(compiled: Path, temporary: Path) -> None:
    mounted = ("unshare", "--mount", "sh", "-c", MOUNT_READ_ONLY, str(compiled))
    if subprocess.run([*mounted, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this container may not mount")
    cache, hits, misses = start(compiled, temporary, mounted)
    assert (hits, misses) == (1, 0)
    assert cache.is_relative_to(temporary)


def test_code_in_a_folder_that_may_not_be_written_to_is_found_and_linked_not_copied(
    read_only: Path, temporary: Path
) -> None:
    cache, hits, misses = start(read_only, temporary, AS_ANYBODY)
    assert (hits, misses) == (1, 0)
    files = [path for path in cache.rglob("*") if path.is_symlink() or path.is_file()]
    assert files
    assert all(file.readlink().is_relative_to(read_only) for file in files)
    assert cache.parent.stat().st_mode & 0o077 == 0


def test_what_such_a_folder_lacks_is_compiled_once_and_changes_nothing_there(compiled: Path, temporary: Path) -> None:
    for folder in compiled.iterdir():
        shutil.rmtree(folder)
    set_writable(compiled, 0)
    try:
        assert start(compiled, temporary, AS_ANYBODY)[1:] == (0, 1)
        assert start(compiled, temporary, AS_ANYBODY)[1:] == (1, 0)
        assert list(compiled.iterdir()) == []
    finally:
        set_writable(compiled, 0o200)


@pytest.mark.parametrize("kind", ["open to others", "a link"])
def test_a_folder_that_others_may_have_put_in_its_place_is_not_trusted(
    kind: str, read_only: Path, temporary: Path, tmp_path: Path
) -> None:
    planted = temporary / f"std-daq-cache-{os.getuid()}"
    if kind == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        planted.symlink_to(tmp_path / "elsewhere")
    else:
        planted.mkdir()
        planted.chmod(0o777)
    cache, hits, _ = start(read_only, temporary, AS_ANYBODY)
    assert hits == 1
    assert not cache.resolve().is_relative_to(planted.resolve())
    assert list(planted.iterdir()) == []
