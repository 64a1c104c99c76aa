"""Compiles what a writer needs to compress the images of a detector."""

from pathlib import Path


def compile_compression(config_file: Path | None) -> None:
    """Compile what compresses the images of a configuration; without one, nothing: the kernels are named themselves."""
    if config_file is None:
        return
    from std_daq.config.system import load_any_config
    from std_daq.imaging.config.model import DetectorConfig
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.files.compression import compile_for

    config = load_any_config(config_file)
    if isinstance(config, DetectorConfig):
        compile_for(open_detector(config).image_dtype.itemsize)
