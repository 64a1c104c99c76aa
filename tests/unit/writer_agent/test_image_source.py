from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from std_daq.errors import RequestRefusedError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_writer_agent.image_source import ImageSource


def make_ring(path: Path, n_slots: int = 8) -> ImageBuffer:
    ring, _ = ImageBuffer.create(path, shape=(2, 2), dtype=np.dtype("u2"), n_modules=1, buffer_bytes=0, n_slots=n_slots)
    return ring


def publish(ring: ImageBuffer, ids: Iterable[int], epoch: int = 0) -> None:
    for image_id in ids:
        entry = np.zeros(1, IMAGE_METADATA)
        entry["id"] = entry["frame_index"] = image_id
        entry["epoch"] = epoch
        ring.journal.append(entry)


@pytest.fixture
def ring(shm_dir: Path) -> Iterator[ImageBuffer]:
    ring = make_ring(shm_dir / "images")
    yield ring
    ring.close()


@pytest.fixture
def source(shm_dir: Path) -> Iterator[ImageSource]:
    clock = iter(range(1000))
    source = ImageSource(partial(ImageBuffer.attach, shm_dir / "images"), clock=lambda: float(next(clock)))
    yield source
    source.close()


def ids_from(source: ImageSource) -> list[int]:
    ids: list[int] = []
    while (part := source.read()) is not None:
        ids += part.entries["id"].tolist()
    return ids


def test_run_begins_with_the_next_image_after_it_was_asked_for(ring: ImageBuffer, source: ImageSource) -> None:
    publish(ring, range(4))
    source.look()
    asked_at = source.position()
    publish(ring, range(4, 6))
    source.begin(asked_at, None)
    assert ids_from(source) == [4, 5]


def test_run_asked_for_before_the_ring_was_there_gets_all(shm_dir: Path, source: ImageSource) -> None:
    source.look()
    asked_at = source.position()
    source.begin(asked_at, None)
    assert source.read() is None
    ring = make_ring(shm_dir / "images")
    publish(ring, range(3))
    assert ids_from(source) == [0, 1, 2]
    ring.close()


def test_next_run_goes_on_with_what_was_put_back(ring: ImageBuffer, source: ImageSource) -> None:
    source.look()
    asked_at = source.position()
    publish(ring, range(5))
    source.begin(asked_at, None)
    assert ids_from(source) == [0, 1, 2, 3, 4]
    source.put_back(2)
    source.begin(asked_at, None)
    assert ids_from(source) == [3, 4]


def test_waiting_run_does_not_begin_with_images_that_are_being_overwritten(
    ring: ImageBuffer, source: ImageSource
) -> None:
    source.look()
    asked_at = source.position()
    publish(ring, range(100))
    source.begin(asked_at, None)
    assert ids_from(source) == [94, 95, 96, 97, 98, 99]


def test_start_image_in_the_ring_is_found(ring: ImageBuffer, source: ImageSource) -> None:
    publish(ring, range(10, 30))
    source.look()
    source.begin(source.position(), 25)
    assert ids_from(source)[0] == 25


def test_start_image_that_was_lost_begins_one_before_to_tell_how_many_were(
    ring: ImageBuffer, source: ImageSource
) -> None:
    publish(ring, [1, 2, 3, 7, 8])
    source.look()
    source.begin(source.position(), 5)
    assert ids_from(source) == [3, 7, 8]


def test_start_image_in_the_future_is_waited_for(ring: ImageBuffer, source: ImageSource) -> None:
    publish(ring, range(5))
    source.look()
    source.begin(source.position(), 2**64 - 1)
    publish(ring, [5])
    assert ids_from(source) == [5]


def test_start_image_that_is_gone_is_refused_with_the_oldest(ring: ImageBuffer, source: ImageSource) -> None:
    publish(ring, range(20))
    source.look()
    with pytest.raises(RequestRefusedError, match="image 11 is no longer in the ring; the oldest image there is 12"):
        source.check_start(11)
    source.check_start(12)


def test_id_below_the_detectors_first_begins_with_that(ring: ImageBuffer, source: ImageSource) -> None:
    publish(ring, range(1, 4))
    source.look()
    source.begin(source.position(), 0)
    assert ids_from(source) == [1, 2, 3]


def test_start_image_is_looked_for_since_the_last_restart_of_the_detector(
    ring: ImageBuffer, source: ImageSource
) -> None:
    publish(ring, range(100, 104))
    publish(ring, range(4), epoch=1)
    source.look()
    source.begin(source.position(), 2)
    assert ids_from(source) == [2, 3]
    source.begin(source.position(), 101)
    assert ids_from(source) == []


def test_ring_that_was_replaced_meanwhile_is_followed_from_its_beginning(
    ring: ImageBuffer, shm_dir: Path, source: ImageSource
) -> None:
    publish(ring, range(5))
    source.look()
    asked_at = source.position()
    other = make_ring(shm_dir / "images", n_slots=16)
    publish(other, range(3), epoch=1)
    source.look()
    source.begin(asked_at, None)
    assert ids_from(source) == [0, 1, 2]
    other.close()
