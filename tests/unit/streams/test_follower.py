from pathlib import Path

import numpy as np

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.streams.follower import RingFollower, start_now, start_oldest


def make(path: Path, height: int = 8) -> ImageBuffer:
    ring, _ = ImageBuffer.create(path, shape=(height, 8), dtype=np.dtype("u2"), n_modules=1, buffer_bytes=0, n_slots=4)
    return ring


def publish(ring: ImageBuffer, *ids: int) -> None:
    for image_id in ids:
        entry = np.zeros(1, IMAGE_METADATA)
        entry["id"] = image_id
        ring.journal.append(entry)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


def ids(follower: RingFollower[ImageBuffer]) -> list[int]:
    part = follower.read()
    return [] if part is None else [int(value) for value in part.entries["id"]]


def test_follower_waits_for_a_ring_that_is_not_there_yet(shm_dir: Path) -> None:
    follower = RingFollower(lambda: ImageBuffer.attach(shm_dir / "ring"), start=start_oldest, clock=Clock())
    assert ids(follower) == []
    ring = make(shm_dir / "ring")
    publish(ring, 1, 2)
    assert ids(follower) == [1, 2]
    assert ids(follower) == []
    follower.close()
    ring.close()


def test_follower_that_starts_now_skips_the_past(shm_dir: Path) -> None:
    ring = make(shm_dir / "ring")
    publish(ring, 1, 2)
    follower = RingFollower(lambda: ImageBuffer.attach(shm_dir / "ring"), start=start_now, clock=Clock())
    assert ids(follower) == []
    publish(ring, 3)
    assert follower.lag == 1
    assert ids(follower) == [3]
    follower.close()
    ring.close()


def test_follower_reads_a_replaced_ring_to_its_end_and_the_new_one_from_its_beginning(shm_dir: Path) -> None:
    old = make(shm_dir / "ring")
    follower = RingFollower(lambda: ImageBuffer.attach(shm_dir / "ring"), start=start_now, clock=Clock())
    assert ids(follower) == []
    publish(old, 1, 2)
    new = make(shm_dir / "ring", height=16)
    publish(new, 3)
    seen = ids(follower) + ids(follower)
    assert seen == [1, 2, 3]
    assert follower.ring is not None
    assert follower.ring.shape == (16, 8)
    follower.close()
    old.close()
    new.close()


def test_follower_of_a_removed_ring_keeps_looking_without_an_error(shm_dir: Path) -> None:
    ring = make(shm_dir / "ring")
    follower = RingFollower(lambda: ImageBuffer.attach(shm_dir / "ring"), start=start_now, clock=Clock())
    assert ids(follower) == []
    ring.segment.remove()
    assert ids(follower) == []
    again = make(shm_dir / "ring")
    publish(again, 9)
    assert ids(follower) == [9]
    follower.close()
    ring.close()
    again.close()


def test_follower_without_a_ring_has_nothing_to_read(shm_dir: Path) -> None:
    def attach() -> ImageBuffer:
        raise SharedMemoryError("not there")

    follower = RingFollower(attach, clock=Clock())
    assert follower.read() is None
    assert follower.journal is None
    assert follower.lag == 0
