"""The chips of an EIGER's quarter module."""

from std_daq.imaging.detectors.module_map import ChipGrid

QUARTER = ChipGrid(rows=256, columns=512, chip=256, gap=2)
