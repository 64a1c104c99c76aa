"""Files of simulated images of the pattern ``counter``: is every pixel what was sent under its image's id."""

import itertools
from pathlib import Path

import h5py
import numpy as np

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.patterns import MAX_CYCLE_IMAGES
from std_daq.imaging.detectors.registry import open_detector
from std_test_kit.expected_images import expected_image

_SPECIFIC = "/entry/instrument/detector/detectorSpecific"


def image_ids(file: Path) -> list[int]:
    """Return the ids of the images of a file, in the order of its rows."""
    with h5py.File(file) as opened:
        return [int(image_id) for image_id in opened[f"{_SPECIFIC}/image_id"][:]]


def check_counter_pixels(config: DetectorConfig, file: Path, first: int = 1) -> list[int]:
    """Compare every image that lacks no packets with what was simulated; returns the ids of all.

    Parameters
    ----------
    config
        The detector; few enough pixels that the images repeat after the longest cycle only.
    file
        With images of one series.
    first
        The ``--first-frame`` of the series.

    Raises
    ------
    AssertionError
        Names the first image that is wrong.
    """
    detector = open_detector(config)
    converter = detector.converter()
    raw = itertools.islice(detector.simulated_frames("counter", 0), MAX_CYCLE_IMAGES)
    expected = [expected_image(detector, converter, image, number, {}) for number, image in enumerate(raw, first)]
    ids = image_ids(file)
    with h5py.File(file) as opened:
        images = opened["/entry/data/data"]
        missing = opened[f"{_SPECIFIC}/missing_packets"][:].sum(axis=1)
        for row, image_id in enumerate(ids):
            if missing[row] == 0:
                wanted = expected[(image_id - first) % MAX_CYCLE_IMAGES]
                np.testing.assert_array_equal(images[row], wanted, f"image {image_id}")
    return ids
