"""The boards of a telescope as a detector of this platform: packets, images, simulation."""

from std_daq.telescope.boards.detector import Telescope

__all__ = ["Telescope"]
