"""Description of live_stream for the platform: its processes and its options."""

from std_daq.imaging.config.model import DetectorConfig
from std_daq.service.checks import Check
from std_daq.service.description import Instance, ServiceDescription
from std_daq.service.host_access import HostAccess, ipc_folders


def _instances(config: DetectorConfig) -> list[Instance]:
    return [Instance("live-stream")] if config.live_stream_configs else []


def _check_addresses(config: DetectorConfig) -> None:
    from std_live_stream.output import check_addresses

    check_addresses(config)


ADDRESSES = Check(subject="live streams", run=_check_addresses, is_of_machine=True, is_part_of_start=True)


def _host_access(config: DetectorConfig) -> HostAccess:
    return HostAccess(writes=ipc_folders(*config.live_stream_configs))


SERVICE = ServiceDescription(
    name="live-stream",
    package="std_live_stream",
    summary="Sends images from the ImageBuffer to viewers.",
    config=DetectorConfig,
    instances=_instances,
    checks=(ADDRESSES,),
    host_access=_host_access,
)
