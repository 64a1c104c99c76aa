"""Description of assembler for the platform: its processes and its options."""

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.registry import open_detector
from std_daq.service.description import Instance, ServiceDescription


def _instances(config: DetectorConfig) -> list[Instance]:
    return [Instance("assembler")] if config.replication.receive is None else []


SERVICE = ServiceDescription(
    name="assembler",
    package="std_assembler",
    summary="Corrects and places frames into the ImageBuffer.",
    config=DetectorConfig,
    instances=_instances,
    check=open_detector,
)
