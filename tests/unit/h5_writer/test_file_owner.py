"""In whose name files are made."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.config.bounds import LAST_USER_ID
from std_daq.errors import ConfigError
from std_daq.recording.file_access import FileAccess
from std_h5_writer import file_owner
from std_h5_writer.file_owner import FileOwner

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files as another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="sdt-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("user_id", [None, os.geteuid()])
def test_without_another_user_files_belong_to_the_service(tmp_path: Path, user_id: int | None) -> None:
    with FileOwner(user_id).identity():
        (tmp_path / "a").touch()
    assert (tmp_path / "a").stat().st_uid == os.geteuid()


def test_another_user_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(file_owner, "may_act_as_others", lambda: False)
    with pytest.raises(ConfigError, match="run it as root or as user 1001") as caught:
        FileOwner(1001)
    assert (caught.value.key, caught.value.value) == ("writer_user_id", 1001)


@needs_root
def test_files_belong_to_the_user_from_the_beginning_and_other_threads_stay_root(folder: Path) -> None:
    folder.chmod(0o777)
    owner = FileOwner(12345)
    go = threading.Event()

    def touch() -> None:
        assert go.wait(10)
        (folder / "ours").touch()

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        with owner.identity():
            (folder / "theirs").touch()
            go.set()
            thread.join()
    finally:
        go.set()
    (folder / "after").touch()
    assert [(folder / name).stat().st_uid for name in ("theirs", "ours", "after")] == [12345, 0, 0]


@needs_root
def test_the_largest_user_id_owns_files(folder: Path) -> None:
    folder.chmod(0o777)
    with FileOwner(LAST_USER_ID).identity():
        (folder / "a").touch()
    assert (folder / "a").stat().st_uid == LAST_USER_ID


@needs_root
def test_the_service_may_not_more_than_the_user_may(folder: Path) -> None:
    with FileOwner(12345).identity(), pytest.raises(PermissionError):
        (folder / "a").touch()


def test_group_needs_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [1000, 1001])
    FileOwner(None, FileAccess(group_id=1001))
    with pytest.raises(ConfigError, match="user 1000, who is not in this group") as caught:
        FileOwner(None, FileAccess(group_id=1002))
    assert (caught.value.key, caught.value.value) == ("writer.group", 1002)


@needs_root
def test_files_of_another_user_get_the_group_without_the_user_being_a_member(folder: Path) -> None:
    """In a process of its own, because the groups of a process change."""
    folder.chmod(0o777)
    script = """
import sys
from pathlib import Path
from std_daq.recording.file_access import FileAccess
from std_daq.recording.file_access import FileAccess
from std_h5_writer.file_owner import FileOwner
owner = FileOwner(12345, FileAccess(group_id=23456, file_mode=0o640, folder_mode=0o2750))
folder = Path(sys.argv[1]) / "new"
with owner.identity():
    owner.access.open_folder(folder).close()
    (folder / "file").touch()
    owner.access.apply(folder / "file")
"""
    subprocess.run([sys.executable, "-c", script, folder], check=True, timeout=60)
    for path, mode in ((folder / "new", 0o2750), (folder / "new" / "file", 0o640)):
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (12345, 23456, mode)


@needs_root
def test_each_run_has_its_user_and_the_next_one_that_of_the_configuration(folder: Path) -> None:
    """In a process of its own, because the groups of a process change."""
    folder.chmod(0o777)
    script = """
import os, sys
from pathlib import Path
from std_h5_writer.file_owner import FileOwner
folder, groups = Path(sys.argv[1]), os.getgroups()
owner = FileOwner(None)
for name, user in (("a", 12345), ("b", 12346), ("c", None), ("d", os.geteuid())):
    owner.act_for(user)
    with owner.identity():
        (folder / name).touch()
assert os.getgroups() == groups
"""
    subprocess.run([sys.executable, "-c", script, folder], check=True)
    owners = [((folder / name).stat().st_uid, (folder / name).stat().st_gid) for name in "abcd"]
    assert owners == [(12345, 12345), (12346, 12346), (0, 0), (0, 0)]


@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv of util-linux is not installed")
@pytest.mark.parametrize("has_capabilities", [True, False])
def test_two_capabilities_are_enough_and_nothing_less(folder: Path, *, has_capabilities: bool) -> None:
    folder.chmod(0o777)
    script = """
import sys
from pathlib import Path
from std_h5_writer.file_owner import FileOwner, check_users
try:
    check_users([12345])
except Exception as error:
    print(error)
owner = FileOwner(None)
owner.act_for(12345)
with owner.identity():
    (Path(sys.argv[1]) / "a").touch()
"""
    kept = ["--inh-caps", "+setuid,+setgid", "--ambient-caps", "+setuid,+setgid"] if has_capabilities else []
    as_user = ["setpriv", "--reuid", "4321", "--regid", "4321", "--clear-groups", *kept]
    done = subprocess.run([*as_user, sys.executable, "-c", script, folder], capture_output=True, text=True, check=False)
    if has_capabilities:
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert (folder / "a").stat().st_uid == 12345
    else:
        assert "without the capabilities SETUID and SETGID, and cannot make files for user 12345" in done.stderr
        assert "run it as root or with the capabilities SETUID and SETGID" in done.stdout
        assert not (folder / "a").exists()
