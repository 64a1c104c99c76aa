"""Description of writer_agent for the platform: its processes and its options."""

import argparse

from std_daq.recording.config import RecordingConfig
from std_daq.service.description import Instance, ServiceDescription


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from std_daq.amqp.address import url_argument

    parser.add_argument(
        "--broker-url",
        metavar="URL",
        type=url_argument,
        help="URL of the broker, amqp://..., without password; by default the detector's broker",
    )


def _instances(config: RecordingConfig) -> list[Instance]:  # noqa: ARG001 - each system has one writer agent
    return [Instance("writer-agent")]


SERVICE = ServiceDescription(
    name="writer-agent",
    package="std_writer_agent",
    summary="Carries out write requests with the h5_writers.",
    config=RecordingConfig,
    instances=_instances,
    needs_broker=True,
    add_arguments=_add_arguments,
)
