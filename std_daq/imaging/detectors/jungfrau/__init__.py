"""JUNGFRAU: modules of 1024 x 512 pixels with three gain stages; raw pixels, energies or photons."""

from std_daq.imaging.detectors.jungfrau.detector import Jungfrau
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions

__all__ = ["Jungfrau", "JungfrauOptions"]
