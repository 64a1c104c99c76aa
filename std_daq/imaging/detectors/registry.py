"""Registry of detector classes by detector type: those of std-daq and those that a site has installed."""

from importlib.metadata import entry_points
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from std_daq.config.load import config_error, validate_strictly
from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.interface import Detector, is_board_detector

ENTRY_POINT_GROUP = "std_daq.detectors"
LAST_PORT = 65535


def detector_types() -> list[str]:
    """Return the names of all installed detector types, sorted."""
    return sorted(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))


def detector_class(detector_type: str) -> type[Detector]:
    """Return the class of a detector type; raises ConfigError if the type is unknown, with a list of known types."""
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=detector_type):
        found: type[Detector] = entry.load()
        return found
    known = ", ".join(detector_types())
    raise ConfigError("unknown detector type", key="detector_type", value=detector_type, remedy=f"known: {known}")


def open_detector(config: DetectorConfig) -> Detector:
    """Return the detector that a configuration describes; raises ConfigError if geometry or options are wrong."""
    detector = detector_class(config.detector_type)(config)
    if detector.n_ports < config.n_submodules and not is_board_detector(detector):
        raise ConfigError(
            f"the modules of {config.detector_type} have one UDP interface",
            key="udp.numinterfaces",
            value=config.udp.numinterfaces,
            remedy="give 1",
        )
    if config.start_udp_port + detector.n_ports - 1 > LAST_PORT:
        raise ConfigError(
            f"the detector has {detector.n_ports} ports; the last of them would be above {LAST_PORT}",
            key="start_udp_port",
            value=config.start_udp_port,
            remedy=f"give at most {LAST_PORT - detector.n_ports + 1}",
        )
    return detector


Options = TypeVar("Options", bound=BaseModel)


def parse_options(config: DetectorConfig, model: type[Options]) -> Options:
    """Validate the ``detector`` section of a configuration with a detector's own model; raises ConfigError."""
    try:
        return validate_strictly(config.detector, model)
    except ValidationError as error:
        raise config_error(error, model, prefix="detector") from None
