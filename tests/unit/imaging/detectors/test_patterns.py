"""When the images of a pattern are made, and when they repeat."""

import itertools

import numpy as np
import pytest

from std_daq.imaging.detectors import patterns
from std_daq.imaging.detectors.patterns import CYCLE_BYTES, MAX_CYCLE_IMAGES, cycle_images, made_ahead


class Maker:
    """Makes images, and notes which."""

    def __init__(self, n_bytes: int) -> None:
        self.made: list[int] = []
        self._n_bytes = n_bytes

    def __call__(self, index: int) -> np.ndarray:
        self.made.append(index)
        return np.full(self._n_bytes, index, np.uint8)


@pytest.mark.parametrize(
    ("n_bytes", "length"), [(1, MAX_CYCLE_IMAGES), (CYCLE_BYTES // 5, 5), (CYCLE_BYTES // 2, 2), (CYCLE_BYTES, 2)]
)
def test_images_repeat_after_as_many_as_fit_the_memory(monkeypatch, n_bytes, length):
    monkeypatch.setattr(patterns, "CYCLE_BYTES", CYCLE_BYTES // 2**20)  # the same with a millionth of the bytes
    maker = Maker(max(n_bytes // 2**20, 1))
    images = itertools.islice(cycle_images(maker), 2 * length + 1)
    assert [int(image[0]) for image in images] == [*range(length), *range(length), 0]
    assert maker.made == list(range(length))


def test_an_image_is_made_when_it_is_asked_for():
    maker = Maker(1)
    images = cycle_images(maker)
    next(images)
    assert maker.made == [0]
    assert not next(images).flags.writeable


@pytest.mark.parametrize(("n_images", "n_made"), [(0, 1), (1, 1), (3, 3), (1000, MAX_CYCLE_IMAGES)])
def test_what_a_sender_needs_is_made_ahead_and_no_more(n_images, n_made):
    maker = Maker(1)
    images = made_ahead(cycle_images(maker), n_images)
    assert maker.made == list(range(n_made))
    assert [int(image[0]) for image in itertools.islice(images, 20)] == [i % MAX_CYCLE_IMAGES for i in range(20)]
