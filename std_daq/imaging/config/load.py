"""Loading ``detector.json``."""

from pathlib import Path
from typing import Any

from std_daq.config.load import check_config, read_document
from std_daq.config.system import system_of
from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig


def load_config(path: Path | str) -> DetectorConfig:
    """Load a ``detector.json``.

    Raises
    ------
    ConfigError
        With file, key, value and remedy, when anything is wrong; also where it is the configuration of another system.
    """
    path = Path(path)
    document = read_document(path)
    system = system_of(document)
    if system.model is not DetectorConfig:
        raise ConfigError(
            f"this configures {system.name}, and images are wanted", file=path, remedy="give a detector.json"
        )
    return check_config(document, DetectorConfig, path)


def parse_config(document: dict[str, Any], file: Path | str | None = None) -> DetectorConfig:
    """Check an already parsed ``detector.json``; ``file`` is only named in errors."""
    return check_config(document, DetectorConfig, file)
