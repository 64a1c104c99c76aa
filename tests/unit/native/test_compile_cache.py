import ast
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.native.compile_cache import MARKER, MARKER_TEXT, MAX_FOLDERS, folder_name, sources

PROJECT = Path(__file__).parents[3]
PROGRAM = """
import numba
from std_daq.native.atomics import load_acquire
print(numba.config.CACHE_DIR)
print(sum(load_acquire.stats.cache_hits.values()), sum(load_acquire.stats.cache_misses.values()))
"""
# Root writes where nobody may; without its capabilities it does not.
AS_ANYBODY = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.getuid() == 0 else ()
MOUNT_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def start(cache: Path, temporary: Path, before: tuple[str, ...] = ()) -> tuple[Path, int, int]:
    """Load a compiled function in a process of its own; returns its cache, and how often that had the code or not."""
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
    files = [path for path in cache.rglob("*.nb?") if path.is_symlink() or path.is_file()]
    assert files
    assert all(file.readlink().is_relative_to(read_only) for file in files)
    assert cache.parent.stat().st_mode & 0o077 == 0


@pytest.mark.long
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
@pytest.mark.parametrize("whose", ["another user's", "everybody's"])
def test_code_that_others_may_have_written_is_not_executed(whose: str, compiled: Path, temporary: Path) -> None:
    shared = compiled.parent / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    cache = shared / compiled.name
    shutil.move(compiled, cache)
    [folder] = cache.iterdir()
    if whose == "everybody's":
        folder.chmod(0o777)
    else:
        os.chown(cache, 54321, 54321)
    used, hits, misses = start(cache, temporary)
    assert (used.parent, hits, misses) == (temporary / f"std-daq-cache-{os.getuid()}", 0, 1)


def make_folder(parent: Path, name: str, marker: str | None, age_s: int = 1000) -> Path:
    folder = parent / name
    folder.mkdir()
    if marker is not None:
        (folder / MARKER).write_text(marker)
        os.utime(folder / MARKER, ns=(0, time.time_ns() - age_s * 10**9))
    os.utime(folder, (0, 0))
    return folder


@pytest.mark.long
def test_folders_of_others_are_never_removed(tmp_path: Path, temporary: Path) -> None:
    """As before a site, which keeps what it likes beside our folders, lost the oldest of what lay there."""
    parent = tmp_path / "cache"
    parent.mkdir()
    foreign = [make_folder(parent, f"foreign-{i}", None) for i in range(10)]
    foreign += [make_folder(parent, f"std-daq-{i:016x}", None) for i in range(10)]
    foreign += [make_folder(parent, f"std-daq-{i:016x}", "of another program") for i in range(10, 20)]
    foreign += [make_folder(parent, f"other-{i}", MARKER_TEXT) for i in range(10)]
    cache, *_ = start(parent, temporary)
    assert cache.is_dir()
    assert all(folder.is_dir() for folder in foreign)
    assert len(foreign) == 40


@pytest.mark.long
def test_of_our_own_folders_those_go_that_were_used_longest_ago(tmp_path: Path, temporary: Path) -> None:
    parent = tmp_path / "cache"
    parent.mkdir()
    ours = [make_folder(parent, f"std-daq-{i:016x}", MARKER_TEXT, age_s=100 - i) for i in range(MAX_FOLDERS + 3)]
    linked = parent / f"std-daq-{99:016x}"
    linked.symlink_to(make_folder(tmp_path, "elsewhere", MARKER_TEXT, age_s=10_000))
    cache, *_ = start(parent, temporary)
    assert sorted(parent.iterdir()) == sorted([*ours[4:], linked, cache])
    assert (tmp_path / "elsewhere" / MARKER).exists()


def test_a_folder_that_is_used_again_is_no_longer_the_oldest(compiled: Path, temporary: Path) -> None:
    [cache] = compiled.iterdir()
    os.utime(cache / MARKER, (0, 0))
    began_at = time.time()
    start(compiled, temporary)
    assert (cache / MARKER).stat().st_mtime > began_at - 1


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Installed packages: kernels, a module with a constant of theirs, and one that has nothing to do with them."""
    root = tmp_path / "packages"
    (root / "std_x" / "placing").mkdir(parents=True)
    (root / "std_x" / "placing" / "row_kernels.py").write_text("from std_x.limits import LARGEST\n")
    (root / "std_x" / "limits.py").write_text("LARGEST = 1\n")
    (root / "std_x" / "__main__.py").write_text("")
    return root


@pytest.mark.parametrize("file", ["placing/row_kernels.py", "limits.py"])
def test_code_is_kept_elsewhere_once_a_kernel_or_a_constant_of_its_has_changed(tree: Path, file: str) -> None:
    before = folder_name(tree)
    with (tree / "std_x" / file).open("a") as source:
        source.write("OTHER = 2\n")
    assert folder_name(tree) != before


def test_code_stays_where_it_is_when_another_module_changes(tree: Path) -> None:
    before = folder_name(tree)
    (tree / "std_x" / "__main__.py").write_text("import sys\n")
    assert folder_name(tree) == before


def own_modules() -> dict[str, Path]:
    """Return all modules of ours, by name."""
    roots = (PROJECT, PROJECT / "benchmarks", *PROJECT.glob("services/*"))
    files = ((root, file) for root in roots for file in root.glob("std_*/**/*.py"))
    return {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for root, file in files
    }


def test_every_module_that_compiles_is_among_the_sources() -> None:
    compiling = {file for file in own_modules().values() if re.search(r"import (njit|compiled)\b", file.read_text())}
    assert compiling
    assert compiling - set(sources(PROJECT)) == set()


def test_what_kernels_import_is_defined_where_they_import_it_from() -> None:
    """Else a constant would come from a module that is not among the sources, and could change unseen."""
    modules = own_modules()
    passed_on = []
    for file in sources(PROJECT):
        if not file.name.endswith("kernels.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                origin = ast.parse(modules[node.module].read_text())
                imported = {
                    alias.asname or alias.name
                    for item in origin.body
                    if isinstance(item, ast.ImportFrom)
                    for alias in item.names
                }
                passed_on += [f"{file}: {alias.name}" for alias in node.names if alias.name in imported]
    assert passed_on == []


@pytest.mark.parametrize("compiler", ["numba", "llvmlite"])
def test_another_compiler_has_a_folder_of_its_own(tree: Path, monkeypatch: pytest.MonkeyPatch, compiler: str) -> None:
    before = folder_name(tree)
    monkeypatch.setattr(f"{compiler}.__version__", "0.1")
    assert folder_name(tree) != before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user that nobody knows")
@pytest.mark.parametrize("home", [None, "/nonexistent", "/root"])
def test_user_without_home_and_entry_in_passwd_has_a_cache(home: str | None, temporary: Path) -> None:
    temporary.chmod(0o777)
    # The interpreter may lie in a folder that others cannot read; to write is what the user may not.
    reading = [f"--{which}-caps=-all,+dac_read_search" for which in ("inh", "ambient")]
    nobody = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", *reading)
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [*nobody, sys.executable, "-c", PROGRAM],
        env=environment | ({} if home is None else {"HOME": home}),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert ended.returncode == 0, ended.stderr
    assert Path(ended.stdout.splitlines()[0]).parent == temporary / "std-daq-cache-54321"
