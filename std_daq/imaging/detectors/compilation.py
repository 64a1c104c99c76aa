"""Compiles what an assembler needs for the frames of a detector."""

from pathlib import Path


def compile_conversion(config_file: Path | None) -> None:
    """Compile what converts the frames of a configuration; without one, nothing: the kernels are named themselves."""
    if config_file is None:
        return
    from std_daq.config.system import load_any_config
    from std_daq.imaging.config.model import DetectorConfig
    from std_daq.imaging.detectors.registry import open_detector

    config = load_any_config(config_file)
    if isinstance(config, DetectorConfig) and config.replication.receive is None:
        open_detector(config).converter()  # which compiles what it is going to call
