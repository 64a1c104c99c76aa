"""Description of assembler for the platform: its processes and its options."""

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.start_checks import CALIBRATION, DETECTOR, IMAGE_BUFFER, RINGS
from std_daq.service.checks import Check
from std_daq.service.description import Instance, ServiceDescription
from std_daq.shm.journal import MAX_SOURCES


def _instances(config: DetectorConfig) -> list[Instance]:
    return [Instance("assembler")] if config.replication.receive is None else []


def _check_sources(config: DetectorConfig) -> None:
    n_receivers = len(config.receivers)
    if n_receivers > MAX_SOURCES:
        raise ConfigError(
            f"{n_receivers} receivers are configured; the limit is {MAX_SOURCES}",
            key="udp.receivers",
            remedy="name fewer ranges, of more modules each",
        )


SOURCES = Check(subject="receivers", run=_check_sources)

SERVICE = ServiceDescription(
    name="assembler",
    package="std_assembler",
    summary="Corrects and places frames into the ImageBuffer.",
    config=DetectorConfig,
    instances=_instances,
    checks=(DETECTOR, CALIBRATION, SOURCES, IMAGE_BUFFER, RINGS),
)
