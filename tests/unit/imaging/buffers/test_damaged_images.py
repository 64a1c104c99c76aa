"""An image whose metadata are nonsense is passed by every reader, counted as lost, and ends none of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.imaging.buffers.image_reader import ImageReader
from std_daq.imaging.protocols.array_stream import encode_header
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_test_kit.store_driver import RingPublisher


@pytest.fixture
def publisher(shm_dir: Path) -> Iterator[RingPublisher]:
    publisher = RingPublisher(shm_dir / "images", shape=(4, 8))
    yield publisher
    publisher.close()


def damage(publisher: RingPublisher, sequence: int, **values: int) -> None:
    for name, value in values.items():
        publisher.ring.headers["metadata"][name][publisher.ring.slot(sequence)] = value


@pytest.mark.parametrize("values", [{"height": 2**64 - 1}, {"width": 0}, {"dtype": 777}, {"height": 8, "width": 4}])
def test_image_of_another_form_than_its_ring_is_lost_and_the_next_is_read(
    publisher: RingPublisher, shm_dir: Path, values: dict[str, int]
) -> None:
    for image_id in range(5):
        publisher.publish(image_id)
    damage(publisher, 2, **values)
    with ImageReader(shm_dir / "images", start="oldest", timeout_s=0.0) as images:
        assert [image.id for image in images] == [0, 1, 3, 4]
        assert list(images.lost.ids) == [2]
        assert not images.by_id(2)
        newest = images.newest(0.0)
        assert newest is None
        damage(publisher, 4, **values)
    with ImageReader(shm_dir / "images") as images:
        newest = images.newest(0.0)
        assert newest is not None
        assert newest.id == 3


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(noise=st.binary(min_size=IMAGE_METADATA.itemsize, max_size=IMAGE_METADATA.itemsize), keeps_form=st.booleans())
def test_any_metadata_are_passed_or_can_be_used(
    publisher: RingPublisher, shm_dir: Path, noise: bytes, keeps_form: bool
) -> None:
    ring = publisher.ring
    first = ring.journal.next_sequence
    for image_id in range(3):
        publisher.publish(first + image_id)
    slot = ring.slot(first + 1)
    good: Any = ring.headers["metadata"][slot].copy()
    nonsense = np.frombuffer(noise, IMAGE_METADATA)[0].copy()
    if keeps_form:
        for name in ("height", "width", "dtype", "sequence"):
            nonsense[name] = good[name]
    ring.headers["metadata"][slot] = nonsense
    with ImageReader(shm_dir / "images", start=first, timeout_s=0.0) as images:
        n_read = 0
        for image in images:
            n_read += 1
            encode_header(image.metadata, {})  # what the live stream sends
            assert image.pixels.shape == (4, 8)
            assert repr(image)
            assert image.modules_at_fault() is not None
            assert image.cells_without_calibration() is not None
        assert n_read + images.lost.n == 3
