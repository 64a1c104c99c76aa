"""The value from which on pixels are saturated."""

import numpy as np

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.interface import Detector


def saturation_value(config: DetectorConfig, detector: Detector) -> float | None:
    """Return the value from which on a pixel is saturated.

    It is the one of the configuration, ``nexus.saturation_value``, or else the largest that the detector can read out.
    None if there is no such limit, as for energies.
    """
    if config.nexus.saturation_value is not None:
        return config.nexus.saturation_value
    is_raw = np.dtype(detector.image_dtype).kind == "u"
    return 2.0**detector.bit_depth_readout - 1 if is_raw else None
