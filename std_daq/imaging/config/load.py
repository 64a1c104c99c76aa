"""Loading ``detector.json``."""

from pathlib import Path
from typing import Any

from std_daq.config.load import check_config, read_config
from std_daq.imaging.config.model import DetectorConfig


def load_config(path: Path | str) -> DetectorConfig:
    """Load a ``detector.json``; raises ConfigError with file, key, value and remedy, when anything is wrong."""
    return read_config(path, DetectorConfig)


def parse_config(document: dict[str, Any], file: Path | str | None = None) -> DetectorConfig:
    """Check an already parsed ``detector.json``; ``file`` is only named in errors."""
    return check_config(document, DetectorConfig, file)
