"""Addresses of the streams, and paths of the rings, by which the services of an image detector communicate."""

from pathlib import Path

from std_daq.config.paths import runtime_dir
from std_daq.imaging.config.model import DetectorConfig, ModuleRange


def frames_address(config: DetectorConfig, part: ModuleRange) -> str:
    """Return the address of the doorbell for the frames of one receiver."""
    return f"ipc://{runtime_dir(config)}/frames-{part}.ipc"


def images_address(config: DetectorConfig) -> str:
    """Return the address of the doorbell of the ImageBuffer."""
    return f"ipc://{runtime_dir(config)}/images.ipc"


def frame_buffer_path(config: DetectorConfig) -> Path:
    """Return the path of the FrameBuffer."""
    return config.ring_paths[0]


def image_buffer_path(config: DetectorConfig) -> Path:
    """Return the path of the ImageBuffer."""
    return config.ring_paths[1]
