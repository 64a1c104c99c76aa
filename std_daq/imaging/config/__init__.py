"""The configuration of an image detector, ``detector.json``: model, loader, paths, schema."""

from std_daq.imaging.config.load import load_config, parse_config
from std_daq.imaging.config.model import DetectorConfig, ModuleRange

__all__ = ["DetectorConfig", "ModuleRange", "load_config", "parse_config"]
