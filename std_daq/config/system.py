"""System: what the platform has to know of a kind of detector system; it stands with the system.

Images are one: their configuration is ``detector.json``. A package names its systems in the entry point group
``std_daq.systems``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from std_daq.config.load import check_config, read_document
from std_daq.config.platform import PlatformConfig
from std_daq.config.schema import published_schema
from std_daq.errors import ConfigError

ENTRY_POINT_GROUP = "std_daq.systems"
Config = TypeVar("Config", bound=PlatformConfig)


def no_summary(config: Any) -> dict[str, str]:  # noqa: ARG001 - as those that have one
    """Tell nothing beyond what every system has."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class System(Generic[Config]):
    """A kind of detector system.

    Parameters
    ----------
    name
        As in ``std-daq config schema --system NAME``.
    file
        How its configuration is usually called.
    model
        The model of that.
    add_to_schema
        Adds to the published schema what the model cannot say.
    summarise
        Loads all that the services of a configuration will load, and says in a few words what was found; raises
        ConfigError where that is wrong.
    """

    name: str
    file: str
    model: type[Config]
    add_to_schema: Callable[[dict[str, Any]], dict[str, Any]] = dict
    summarise: Callable[[Config], dict[str, str]] = no_summary

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of its configuration."""
        return self.add_to_schema(published_schema(self.model, title=f"{self.file} of std-daq"))


def systems() -> dict[str, System[Any]]:
    """Return the systems that are installed, by name."""
    return {entry.name: entry.load() for entry in sorted(entry_points(group=ENTRY_POINT_GROUP))}


def system_of(document: dict[str, Any]) -> System[Any]:
    """Return the system whose model knows most of a document's keys.

    A key that is missing or misspelt is then told as an error of that model, which is the one that was meant.

    Raises
    ------
    ConfigError
        When no system is installed.
    """
    known = systems()
    if not known:
        raise ConfigError("no system is installed that has a configuration", remedy="pip install 'std-daq[images]'")
    return max(known.values(), key=lambda system: sum(key in _keys(system.model) for key in document))


def load_any_config(path: Path | str) -> PlatformConfig:
    """Load the configuration of any system.

    Raises
    ------
    ConfigError
        With file, key, value and remedy, when anything is wrong.
    """
    path = Path(path)
    document = read_document(path)
    config: PlatformConfig = check_config(document, system_of(document).model, path)
    return config


def _keys(model: type[PlatformConfig]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()} | set(model.superseded_keys)
