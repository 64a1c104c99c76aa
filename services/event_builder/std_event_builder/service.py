"""Description of event_builder for the platform: its processes and its figures."""

from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.tpc.config import TpcConfig

_NAME = "event-builder"


def _instances(config: TpcConfig) -> list[Instance]:  # noqa: ARG001 - every chamber has one
    return [Instance(_NAME)]


def _check(config: TpcConfig) -> None:
    from std_daq.tpc.pads.load import load_pads

    load_pads(config.pads)


SERVICE = ServiceDescription(
    name=_NAME,
    package="std_event_builder",
    summary="Makes events of the frames that the exporters of a chamber send.",
    config=TpcConfig,
    instances=_instances,
    check=_check,
    figures=(
        Figure("connected", "daq_builder_connected"),
        Figure("frames", "daq_builder_frames_total"),
        Figure("bytes", "daq_builder_bytes_total"),
        Figure("events", "daq_builder_events_total"),
        Figure("waiting", "daq_builder_events_waiting"),
    ),
)
