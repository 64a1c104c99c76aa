"""What other users of the machine can put into the directory of the rings, and what becomes of it."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from std_daq.errors import SharedMemoryError
from std_daq.folders.open_folder import OpenFolder
from std_daq.folders.owners import VARIABLE
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.shm import segment
from std_daq.shm.inventory import inspect_rings, remove_ring
from std_daq.shm.ring_lock import ring_lock
from std_daq.shm.segment import Segment
from std_daq.telemetry.logs import ConditionLog
from std_h5_writer.ring_reader import RingReader

STRANGER = 54321

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a ring to another user")


@pytest.fixture
def shared_dir(shm_dir: Path) -> Path:
    """A directory in which every user can make files, as /dev/shm is."""
    shm_dir.chmod(0o1777)
    return shm_dir


def make(path: Path) -> tuple[ImageBuffer, bool]:
    return ImageBuffer.create(path, shape=(8, 16), dtype=np.dtype("u2"), n_modules=1, buffer_bytes=0, n_slots=4)


def forge(path: Path, owner: int = STRANGER, mode: int = 0o666) -> None:
    """Make a ring of the right geometry that another user owns."""
    ring, _ = make(path)
    ring.close()
    os.chown(path, owner, owner)
    path.chmod(mode)


@needs_root
@pytest.mark.parametrize("mode", [0o644, 0o660, 0o664])
def test_ring_that_another_user_made_first_is_not_taken_over(shared_dir: Path, mode: int) -> None:
    forge(shared_dir / "ring", mode=mode)
    before = (shared_dir / "ring").read_bytes()
    with pytest.raises(SharedMemoryError, match=f"{shared_dir}/ring.* user {STRANGER}.*forgery; remove it.*{VARIABLE}"):
        make(shared_dir / "ring")
    assert (shared_dir / "ring").read_bytes() == before
    assert [path.name for path in shared_dir.iterdir()] == ["ring"]


@needs_root
def test_ring_of_another_user_is_not_read(shared_dir: Path) -> None:
    forge(shared_dir / "ring", mode=0o644)
    with pytest.raises(SharedMemoryError, match=f"belongs to user {STRANGER}"):
        ImageBuffer.attach(shared_dir / "ring")


@needs_root
def test_administrator_sees_the_ring_of_another_user_and_can_remove_it(shared_dir: Path) -> None:
    forge(shared_dir / "ring", mode=0o644)
    assert [ring.info.path for ring in inspect_rings(shared_dir)] == [shared_dir / "ring"]
    remove_ring(shared_dir / "ring")
    assert list(shared_dir.iterdir()) == []


@needs_root
def test_ring_of_a_user_whom_the_administrator_trusts_is_used(
    shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(shared_dir / "ring", mode=0o660)
    monkeypatch.setenv(VARIABLE, f"nobody-of-this-name, {STRANGER}")
    ring, is_new = make(shared_dir / "ring")
    assert not is_new
    ring.close()
    ImageBuffer.attach(shared_dir / "ring").close()


@needs_root
def test_user_may_be_named_by_name(shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forge(shared_dir / "ring", owner=1, mode=0o660)  # daemon, on every Linux
    monkeypatch.setenv(VARIABLE, "daemon")
    ImageBuffer.attach(shared_dir / "ring").close()


@needs_root
def test_services_of_several_users_share_a_directory_that_only_they_can_write(shm_dir: Path) -> None:
    shm_dir.chmod(0o2770)
    forge(shm_dir / "ring", mode=0o660)
    ring, is_new = make(shm_dir / "ring")
    assert not is_new
    ring.close()


@needs_root
def test_directory_that_another_user_made_in_a_shared_one_vouches_for_nothing(shared_dir: Path) -> None:
    (shared_dir / "std-daq").mkdir(mode=0o755)
    forge(shared_dir / "std-daq" / "ring", mode=0o644)
    os.chown(shared_dir / "std-daq", STRANGER, STRANGER)
    with pytest.raises(SharedMemoryError, match=f"belongs to user {STRANGER}"):
        ImageBuffer.attach(shared_dir / "std-daq" / "ring")


def test_ring_that_every_user_can_write_to_is_not_used(shm_dir: Path) -> None:
    make(shm_dir / "ring")[0].close()
    (shm_dir / "ring").chmod(0o666)
    for use in (make, ImageBuffer.attach):
        with pytest.raises(SharedMemoryError, match=r"every user may write to it \(mode 0666\).*chmod o-w"):
            use(shm_dir / "ring")


@pytest.mark.parametrize("name", ["ring", ".ring.std-daq-lock"])
def test_link_in_the_place_of_a_ring_or_its_lock_is_not_followed(shared_dir: Path, tmp_path: Path, name: str) -> None:
    make(tmp_path / "elsewhere")[0].close()
    before = (tmp_path / "elsewhere").read_bytes()
    (shared_dir / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SharedMemoryError, match="link"):
        make(shared_dir / "ring")
    assert (tmp_path / "elsewhere").read_bytes() == before
    (shared_dir / name).unlink()


@pytest.mark.parametrize("name", ["ring", ".ring.std-daq-lock"])
def test_pipe_in_the_place_of_a_ring_or_its_lock_stops_nobody(shared_dir: Path, name: str) -> None:
    os.mkfifo(shared_dir / name)
    with pytest.raises(SharedMemoryError, match="this is not a file"):
        make(shared_dir / "ring")
    (shared_dir / name).unlink()


def test_lock_on_the_directory_keeps_no_owner_from_its_ring(shared_dir: Path) -> None:
    directory = os.open(shared_dir, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    try:
        ring, is_new = make(shared_dir / "ring")
        assert is_new
        ring.close()
    finally:
        os.close(directory)


@needs_root
def test_user_who_may_read_the_directory_cannot_open_the_lock_of_a_ring(shared_dir: Path) -> None:
    with OpenFolder.open(shared_dir) as folder, ring_lock(folder, "ring"):
        command = ["cat", str(shared_dir / ".ring.std-daq-lock")]
        tried = subprocess.run(command, user=STRANGER, group=STRANGER, capture_output=True, text=True, check=False)
    assert "Permission denied" in tried.stderr


@needs_root
def test_lock_that_another_user_made_first_is_told_at_once(shared_dir: Path) -> None:
    lock = shared_dir / ".ring.std-daq-lock"
    lock.touch(mode=0o644)
    os.chown(lock, STRANGER, STRANGER)
    with pytest.raises(SharedMemoryError, match=f"{lock}: the lock of the ring belongs to user {STRANGER}.*remove it"):
        make(shared_dir / "ring")


def test_lock_that_is_held_too_long_is_given_up_with_the_holder(shm_dir: Path, held_lock: int) -> None:
    with (
        OpenFolder.open(shm_dir) as folder,
        pytest.raises(SharedMemoryError, match=f"process {held_lock} has held this lock for 0.1 s"),
        ring_lock(folder, "ring", wait_s=0.1),
    ):
        pass


def test_ring_can_be_made_after_the_holder_of_its_lock_was_killed(shm_dir: Path, held_lock: int) -> None:
    os.kill(held_lock, 9)
    ring, is_new = make(shm_dir / "ring")
    assert is_new
    assert [path.name for path in shm_dir.iterdir()] == ["ring"]
    ring.close()


@pytest.fixture
def held_lock(shm_dir: Path) -> Iterator[int]:
    """Id of another process that holds the lock of the ring."""
    code = (
        "import sys; from pathlib import Path\n"
        "from std_daq.folders.open_folder import OpenFolder; from std_daq.shm.ring_lock import ring_lock\n"
        "with OpenFolder.open(Path(sys.argv[1])) as folder, ring_lock(folder, 'ring'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(shm_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder.pid
        holder.communicate("")


def test_segment_that_is_attached_stays_the_checked_one(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    attached = Segment.attach(shm_dir / "ring")
    (shm_dir / "ring").rename(shm_dir / "moved")
    (shm_dir / "ring").write_bytes(bytes(1 << 16))
    assert attached.created_ns == ring.segment.created_ns
    attached.close()
    ring.close()


@needs_root
def test_service_that_waits_for_its_ring_says_that_another_user_has_made_it(
    shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(shared_dir / "ring", mode=0o644)
    monkeypatch.setattr(segment, "_conditions", ConditionLog())
    reader = RingReader(lambda: ImageBuffer.attach(shared_dir / "ring"), lambda image: image.pixels)
    with capture_logs() as lines:
        assert not reader.attach()
        assert not reader.attach()
    [line] = lines
    assert line["event"] == "ring_not_trusted"
    assert line["path"] == str(shared_dir / "ring")
    assert f"belongs to user {STRANGER}" in line["problem"]
