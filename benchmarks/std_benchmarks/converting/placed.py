"""Cases of detectors whose pixels are placed as they are: EIGER of all depths, GIGAFROST."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_benchmarks.converting.rings import N_EXPOSURES, Rings
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.detectors.eiger import Eiger
from std_daq.imaging.detectors.eiger.geometry import QUARTER
from std_daq.imaging.detectors.gigafrost import Gigafrost

# The quarters of a module: [x, y] of its first and of its last pixel, the upper ones flipped.
EIGER_QUARTERS = {"0": (0, 258, 513, 513), "1": (516, 258, 1029, 513), "2": (0, 255, 513, 0), "3": (516, 255, 1029, 0)}
EIGER = {
    "detector_name": "bench",
    "detector_type": "eiger",
    "n_modules": 4,
    "image_pixel_height": 514,
    "image_pixel_width": 1030,
    "start_udp_port": 50000,
    "module_positions": EIGER_QUARTERS,
}
GIGAFROST = {
    "detector_name": "bench",
    "detector_type": "gigafrost",
    "n_modules": 8,
    "bit_depth": 12,
    "image_pixel_height": 2016,
    "image_pixel_width": 2016,
    "start_udp_port": 50000,
}


def eiger_rings(folder: Path, bit_depth: int) -> tuple[Rings, list[NDArray[Any]]]:
    """Return the rings of an EIGER module, four quarters, and the images that they should become."""
    detector = Eiger(parse_config(EIGER | {"bit_depth": bit_depth}))
    exposures = np.stack(list(islice(detector.simulated_frames("counter", 1), N_EXPOSURES)))
    images = []
    for raw in exposures:
        image = np.zeros(detector.config.image_shape, detector.image_dtype)
        for placement, pixels in zip(detector.placements, raw, strict=True):
            QUARTER.place(pixels, placement.view(image))
        images.append(image)
    return Rings(folder, detector, exposures), images


def gigafrost_rings(folder: Path) -> tuple[Rings, list[NDArray[Any]]]:
    """Return the rings of a whole GIGAFROST and the images that they should become."""
    detector = Gigafrost(parse_config(GIGAFROST))
    exposures = np.stack(list(islice(detector.simulated_frames("counter", 1), N_EXPOSURES)))
    images = []
    for raw in exposures:
        image = np.zeros(detector.config.image_shape, detector.image_dtype)
        for rows, pixels in zip(detector.places, raw, strict=True):
            rows.view(image)[:] = pixels
        images.append(image)
    return Rings(folder, detector, exposures), images
