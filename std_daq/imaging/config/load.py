"""Loads a ``detector.json``."""

from pathlib import Path
from typing import Any

from std_daq.config.load import check_config, read_document
from std_daq.config.system import system_of
from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig


def load_config(path: Path | str, *, remedy: str = "give a detector.json") -> DetectorConfig:
    """Load a ``detector.json``.

    Parameters
    ----------
    path
        Path of the file.
    remedy
        What to do if it is the configuration of another system; a command that takes others as well names them.

    Raises
    ------
    ConfigError
        The file or a value in it is wrong, or it is the configuration of another system; the error has file, key, value
        and remedy.
    """
    path = Path(path)
    document = read_document(path)
    system = system_of(document, path)
    if system.model is not DetectorConfig:
        raise ConfigError(
            f"this is a configuration of {system.name}, but one of images is needed",
            file=path,
            remedy=remedy,
        )
    return check_config(document, DetectorConfig, path)


def parse_config(document: dict[str, Any], file: Path | str | None = None) -> DetectorConfig:
    """Validate a parsed ``detector.json``; ``file`` is only used in errors."""
    return check_config(document, DetectorConfig, file)
