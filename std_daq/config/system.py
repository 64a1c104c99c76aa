"""System: what the platform needs to know about a kind of detector system; each system defines its own.

For example, ``images`` is the system whose configuration is ``detector.json``. A package registers its systems in the
entry point group ``std_daq.systems``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from std_daq.config.load import check_config, read_document
from std_daq.config.platform import PlatformConfig
from std_daq.config.schema import published_schema
from std_daq.config.section import Section
from std_daq.errors import ConfigError

ENTRY_POINT_GROUP = "std_daq.systems"
Config = TypeVar("Config", bound=PlatformConfig)


def no_summary(config: Any) -> dict[str, str]:  # noqa: ARG001 - the signature of every `System.summarise`
    """Return an empty summary."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class System(Generic[Config]):
    """A kind of detector system, described for the platform.

    Parameters
    ----------
    name
        Name of the system, for example in ``std-daq config schema --system NAME``.
    file
        Usual name of its configuration file.
    model
        Model of its configuration.
    add_to_schema
        Adds rules to the published schema that the model cannot express.
    summarise
        Loads all files that the services of a configuration will load, and returns a summary; raises ConfigError if a
        file is wrong.
    experiment
        Model of the section ``experiment`` of a write request; None if the system does not check it.
    nouns
        What a write request of the system records.
    """

    name: str
    file: str
    model: type[Config]
    add_to_schema: Callable[[dict[str, Any]], dict[str, Any]] = dict
    summarise: Callable[[Config], dict[str, str]] = no_summary
    experiment: type[Section] | None = None
    nouns: str = "images"

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the configuration."""
        return self.add_to_schema(published_schema(self.model, title=f"{self.file} of std-daq"))


def systems() -> dict[str, System[Any]]:
    """Return the installed systems by name."""
    return {entry.name: entry.load() for entry in sorted(entry_points(group=ENTRY_POINT_GROUP))}


def system_of(document: dict[str, Any], file: Path | None = None) -> System[Any]:
    """Return the system whose model knows the most keys of a document.

    A missing or misspelt key therefore does not change the system: it becomes an error of the model that was meant. If
    several know as many, the usual name of the file decides.

    Raises
    ------
    ConfigError
        No system is installed.
    """
    known = systems()
    if not known:
        raise ConfigError("no system is installed", remedy="pip install 'std-daq[images]'")
    return max(
        known.values(),
        key=lambda system: (
            sum(key in _keys(system.model) for key in document),
            file is not None and file.name == system.file,
        ),
    )


def system_of_config(config: PlatformConfig) -> System[Any]:
    """Return the system to which a loaded configuration belongs.

    Raises
    ------
    ConfigError
        The system is not installed.
    """
    for system in systems().values():
        if type(config) is system.model:
            return system
    raise ConfigError(
        f"no installed system has configurations of the type {type(config).__name__}",
        remedy="pip install 'std-daq[images]'",
    )


def load_any_config(path: Path | str) -> PlatformConfig:
    """Load the configuration of any system.

    Raises
    ------
    ConfigError
        The file or a value in it is wrong; the error has file, key, value and remedy.
    """
    path = Path(path)
    document = read_document(path)
    config: PlatformConfig = check_config(document, system_of(document, path).model, path)
    return config


def read_config_of(path: Path | str, model: type[Config]) -> Config:
    """Load a configuration of `model`, or of a system whose model is a kind of `model`.

    A document whose keys `model` itself knows is one of `model`.

    Raises
    ------
    ConfigError
        The file or a value in it is wrong, or it is the configuration of a system that `model` does not stand for.
    """
    path = Path(path)
    document = read_document(path)
    kinds = [system.model for system in systems().values() if issubclass(system.model, model)]
    if kinds in ([], [model]) or set(document) <= _keys(model):
        return check_config(document, model, path)
    system = system_of(document, path)
    if not issubclass(system.model, model):
        raise ConfigError(
            f"this is a configuration of {system.name}, which this command or service does not serve", file=path
        )
    return check_config(document, system.model, path)


def _keys(model: type[PlatformConfig]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()} | set(model.superseded_keys)
