"""GIGAFROST: four quadrants, each on two links, 12-bit pixels packed in rows."""

from std_daq.imaging.detectors.gigafrost.detector import Gigafrost, GigafrostOptions

__all__ = ["Gigafrost", "GigafrostOptions"]
