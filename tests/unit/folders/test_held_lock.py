"""A file counts while the process that has made it holds its lock."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from std_daq.folders.held_lock import HeldLock, Holder, holder_of

HOLD = """
import sys
from pathlib import Path
from std_daq.folders.held_lock import HeldLock
lock = HeldLock(Path(sys.argv[1]))
assert lock.take(0.0)
print("held", flush=True)
sys.stdin.read()
"""


def test_holder_is_known_while_it_lives_and_not_when_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder_of(path) == Holder(process.pid, socket.gethostname())
        process.kill()
    assert path.exists()
    assert holder_of(path) is None


def test_second_one_waits_is_told_and_gives_up(tmp_path: Path) -> None:
    first, second = HeldLock(tmp_path / "a.lock"), HeldLock(tmp_path / "a.lock")
    told: list[bool] = []
    try:
        assert first.take(0.0)
        assert not second.take(0.1, lambda: told.append(True))
        assert told == [True]
        assert second.holder() == Holder(os.getpid(), socket.gethostname())
        first.write(is_ready=True)
        assert second.holder() == Holder(os.getpid(), socket.gethostname(), is_ready=True)
    finally:
        first.release()
    assert second.take(0.0)
    second.release()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"pid": "x", "host": 3}', b"[" * 4096])
def test_holder_that_has_written_nonsense_holds_all_the_same(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.lock"
    lock = HeldLock(path)
    assert lock.take(0.0)
    path.write_bytes(content)
    assert holder_of(path) == Holder(0, "this machine")
    lock.release()


def test_nobody_holds_what_is_not_there_or_is_a_link(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "no.lock") is None
    (tmp_path / "link.lock").symlink_to(tmp_path / "other")
    assert holder_of(tmp_path / "link.lock") is None
    with pytest.raises(OSError, match="link"):
        HeldLock(tmp_path / "link.lock")
