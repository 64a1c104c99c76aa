"""Description of ublox_control for the platform: its processes and its options."""

import argparse

from std_daq.grpc_server.config import instance_name
from std_daq.service.checks import Check
from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.service.host_access import HostAccess
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


def _check_start(config: UbloxControlConfig) -> None:
    from pathlib import Path

    from std_ublox_control.ublox_control import document_of

    if config.start is not None:
        document_of(config.start, Path())


def _check_server(config: UbloxControlConfig) -> None:
    from std_daq.grpc_server.server import check_server

    check_server(config)


START = Check(subject="timing receiver", run=_check_start, is_part_of_start=True)
SERVER = Check(subject="gRPC server", run=_check_server, is_of_machine=True)


def _host_access(config: UbloxControlConfig) -> HostAccess:
    return HostAccess(
        writes=() if config.unix_socket is None else (config.unix_socket.parent,),
        ports=() if config.port is None else (config.port,),
        # A client may name the serial device. Debian's group for these is dialout.
        devices=("char-ttyACM", "char-ttyUSB", "char-ttyS"),
        groups=("dialout",),
    )


SERVICE = ServiceDescription(
    name=_NAME,
    package="std_ublox_control",
    summary="Configures a GNSS timing receiver, and sends its messages to clients over gRPC.",
    config=UbloxControlConfig,
    instances=_instances,
    checks=(START, SERVER),
    add_arguments=_add_arguments,
    instance_of=_instance_of,
    host_access=_host_access,
    figures=(
        Figure("messages", "daq_ublox_control_messages_total"),
        Figure("sent", "daq_ublox_control_sent_total"),
        Figure("streams", "daq_ublox_control_streams"),
    ),
)
