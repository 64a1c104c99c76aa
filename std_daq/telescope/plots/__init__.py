"""Plots of a telescope's images, for windows, notebooks and PNG files; they need the extra ``plot``."""

from std_daq.telescope.plots.pano_image_previewer import PanoImagePreviewer
from std_daq.telescope.plots.pulse_height_distribution import PulseHeightDistribution

__all__ = ["PanoImagePreviewer", "PulseHeightDistribution"]
