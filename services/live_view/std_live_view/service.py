"""Description of live_view for the platform: its processes and its options."""

import argparse
from pathlib import Path

from std_daq.grpc_server.config import instance_name
from std_daq.service.checks import Check
from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.service.host_access import HostAccess
from std_daq.telescope.config import LiveViewConfig

_NAME = "live-view"


def _instances(config: LiveViewConfig) -> list[Instance]:  # noqa: ARG001 - every live view is one process
    return [Instance(_NAME, ("--instance", _NAME))]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--instance", metavar="NAME", help="name of this process; by default made from the path of the configuration"
    )


def _instance_of(arguments: argparse.Namespace, config: LiveViewConfig) -> str:
    return arguments.instance or instance_name(_NAME, arguments.config, config)


def _check_gateway(config: LiveViewConfig) -> None:
    from pathlib import Path

    from std_live_view.edges import edges_of

    if config.gateway is not None:
        edges_of(config.gateway, Path())


def _check_server(config: LiveViewConfig) -> None:
    from std_daq.grpc_server.server import check_server

    check_server(config)


GATEWAY = Check(subject="gateway", run=_check_gateway, is_of_machine=True, is_part_of_start=True)
SERVER = Check(subject="gRPC server", run=_check_server, is_of_machine=True)


def _host_access(config: LiveViewConfig) -> HostAccess:
    sockets = config.sources.unix_sockets
    folders = [path.parent for path in (config.unix_socket,) if path is not None]
    if sockets is not None:
        folders.append(Path(sockets.path_template).parent)
    if config.simulation.data_dir is not None:
        folders.append(config.simulation.data_dir)
    return HostAccess(
        writes=tuple(folders),
        reads_homes=True,  # a client may name any run directory
        ports=() if config.port is None else (config.port,),
        sees_processes=config.required_process is not None,
        # The acquisition writes to sockets there.
        shares_tmp=any(folder.is_relative_to("/tmp") for folder in folders),  # noqa: S108
    )


SERVICE = ServiceDescription(
    name=_NAME,
    package="std_live_view",
    summary="Sends images to clients over gRPC, to each at its own pace.",
    config=LiveViewConfig,
    instances=_instances,
    checks=(GATEWAY, SERVER),
    add_arguments=_add_arguments,
    instance_of=_instance_of,
    host_access=_host_access,
    figures=(
        Figure("images", "daq_live_view_frames_total"),
        Figure("sent", "daq_live_view_sent_total"),
        Figure("streams", "daq_live_view_streams"),
    ),
)
