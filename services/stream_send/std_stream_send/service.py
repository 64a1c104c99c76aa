"""Description of stream_send for the platform: its processes and its options."""

import argparse

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.service.description import Instance, ServiceDescription
from std_daq.service.number_arguments import integer


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sender", type=integer, default=0, metavar="INDEX", help="index of this sender in replication.send, from 0"
    )


def _instances(config: DetectorConfig) -> list[Instance]:
    return [Instance(f"stream-send-{index}", ("--sender", str(index))) for index in range(len(config.replication.send))]


def _instance_of(arguments: argparse.Namespace, config: DetectorConfig) -> str:
    n_senders = len(config.replication.send)
    if not 0 <= arguments.sender < n_senders:
        raise ConfigError(
            f"there is no sender {arguments.sender}",
            key="replication.send",
            remedy=f"--sender takes 0 to {n_senders - 1}" if n_senders else "describe a sender there",
        )
    return f"stream-send-{arguments.sender}"


SERVICE = ServiceDescription(
    name="stream-send",
    package="std_stream_send",
    summary="Sends the images of the ImageBuffer to receivers on other servers.",
    config=DetectorConfig,
    instances=_instances,
    add_arguments=_add_arguments,
    instance_of=_instance_of,
)
