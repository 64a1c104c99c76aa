"""EIGER: quarter modules of 512 x 256 pixels, 4 to 32 bits, one UDP port each."""

from std_daq.imaging.detectors.eiger.detector import Eiger
from std_daq.imaging.detectors.eiger.options import EigerOptions

__all__ = ["Eiger", "EigerOptions"]
