"""Of each service of a system only one process runs."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from std_daq.errors import ConfigError, ResourceError
from std_daq.service.instance_lock import InstanceLock

HOLDER = """
import sys
from pathlib import Path
from std_daq.service.instance_lock import InstanceLock
lock = InstanceLock(Path(sys.argv[1]), "h5-writer-0")
print("held", flush=True)
sys.stdin.read()
"""


def holder(directory: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_second_one_says_who_is_there_and_leaves_the_lock_as_it_is(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        before = (tmp_path / "h5-writer-0.lock").read_bytes()
        with pytest.raises(ResourceError, match=f"already runs as process {process.pid} on {socket.gethostname()}"):
            InstanceLock(tmp_path, "h5-writer-0", wait_s=0)
        assert (tmp_path / "h5-writer-0.lock").read_bytes() == before
        InstanceLock(tmp_path, "h5-writer-1", wait_s=0).release()  # another instance is free
        process.communicate("")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_successor_of_a_killed_process_starts_at_once(tmp_path: Path, number: int) -> None:
    with holder(tmp_path) as process:
        process.send_signal(number)
        process.wait()
        InstanceLock(tmp_path, "h5-writer-0", wait_s=0).release()


def test_stopped_process_keeps_its_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(ResourceError, match="already runs"):
            InstanceLock(tmp_path, "h5-writer-0", wait_s=0)
        process.send_signal(signal.SIGCONT)
        process.communicate("")


def test_successor_waits_for_a_process_that_is_ending(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.close()  # it begins to end
        InstanceLock(tmp_path, "h5-writer-0", wait_s=20).release()
        process.wait()


def test_released_lock_can_be_taken_and_nonsense_in_it_is_no_holder(tmp_path: Path) -> None:
    InstanceLock(tmp_path, "a", wait_s=0).release()
    lock = InstanceLock(tmp_path, "a", wait_s=0)
    assert json.loads((tmp_path / "a.lock").read_text())["pid"] == os.getpid()
    (tmp_path / "a.lock").write_bytes(b"[1]")
    with pytest.raises(ResourceError, match="a already runs; two of them"):
        InstanceLock(tmp_path, "a", wait_s=0)
    lock.release()


def test_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot be opened"):
        InstanceLock(tmp_path, "a", wait_s=0)
    assert not (tmp_path / "elsewhere").exists()
