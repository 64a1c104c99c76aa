"""TILE: modules of 256 x 128 pixels, 16 bits, one UDP port each."""

from std_daq_tile.detector import Tile

__all__ = ["Tile"]
