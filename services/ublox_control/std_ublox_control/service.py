"""Description of ublox_control for the platform: its processes and its options."""

import argparse

from std_daq.grpc_server.config import instance_name
from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.telescope.ublox_config import UbloxControlConfig

_NAME = "ublox-control"


def _instances(config: UbloxControlConfig) -> list[Instance]:  # noqa: ARG001 - every receiver has one process
    return [Instance(_NAME, ("--instance", _NAME))]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--instance", metavar="NAME", help="name of this process; by default made from the path of the configuration"
    )


def _instance_of(arguments: argparse.Namespace, config: UbloxControlConfig) -> str:
    return arguments.instance or instance_name(_NAME, arguments.config, config)


SERVICE = ServiceDescription(
    name=_NAME,
    package="std_ublox_control",
    summary="Configures a GNSS timing receiver, and sends its messages to clients over gRPC.",
    config=UbloxControlConfig,
    instances=_instances,
    add_arguments=_add_arguments,
    instance_of=_instance_of,
    figures=(
        Figure("messages", "daq_ublox_control_messages_total"),
        Figure("sent", "daq_ublox_control_sent_total"),
        Figure("streams", "daq_ublox_control_streams"),
    ),
)
