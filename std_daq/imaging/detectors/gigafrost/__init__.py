"""GIGAFROST: four quadrants with two links each, and rows of packed 12-bit pixels."""

from std_daq.imaging.detectors.gigafrost.detector import Gigafrost, GigafrostOptions

__all__ = ["Gigafrost", "GigafrostOptions"]
