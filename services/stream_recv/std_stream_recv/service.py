"""Description of stream_recv for the platform: its processes and its options."""

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.registry import open_detector
from std_daq.service.description import Instance, ServiceDescription


def _instances(config: DetectorConfig) -> list[Instance]:
    return [Instance("stream-recv")] if config.replication.receive is not None else []


SERVICE = ServiceDescription(
    name="stream-recv",
    package="std_stream_recv",
    summary="Receives the images of another server into the ImageBuffer.",
    config=DetectorConfig,
    instances=_instances,
    check=open_detector,
)
