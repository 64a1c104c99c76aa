"""The configuration of a detector: model, loader, paths, schema."""

from std_daq.config.load import load_config, parse_config
from std_daq.config.model import DetectorConfig, ModuleRange

__all__ = ["DetectorConfig", "ModuleRange", "load_config", "parse_config"]
