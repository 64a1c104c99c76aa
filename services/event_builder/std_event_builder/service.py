"""Description of event_builder for the platform: its processes and its figures."""

from std_daq.service.checks import Check
from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.shm.segment import PlannedSegment, check_room
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.start_checks import PADS

_NAME = "event-builder"


def _instances(config: TpcConfig) -> list[Instance]:  # noqa: ARG001 - every chamber has one
    return [Instance(_NAME)]


def planned_ring(config: TpcConfig) -> PlannedSegment:
    """Return the ring of events that will be created; raises ConfigError if it is too small, or a pad file is wrong."""
    from std_daq.tpc.events.event_buffer import SIZE_KEY
    from std_daq.tpc.events.paths import event_buffer_path
    from std_event_builder.ring import plan_ring

    return PlannedSegment(event_buffer_path(config), plan_ring(config).offsets()["total"], SIZE_KEY)


def _check_room(config: TpcConfig) -> None:
    check_room([planned_ring(config)])


RING = Check(subject="ring of events", run=planned_ring)
ROOM = Check(subject="shared memory", run=_check_room, is_of_machine=True, is_part_of_start=True)


SERVICE = ServiceDescription(
    name=_NAME,
    package="std_event_builder",
    summary="Makes events of the frames that the exporters of a chamber send.",
    config=TpcConfig,
    instances=_instances,
    checks=(PADS, RING, ROOM),
    figures=(
        Figure("connected", "daq_builder_connected"),
        Figure("frames", "daq_builder_frames_total"),
        Figure("bytes", "daq_builder_bytes_total"),
        Figure("events", "daq_builder_events_total"),
        Figure("waiting", "daq_builder_events_waiting"),
    ),
)
