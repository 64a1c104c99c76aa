"""Description of sim_router for the platform: its processes and its options."""

import argparse
from pathlib import Path

from std_daq.photons.config import DEFAULT_BACKEND, DEFAULT_FRONTEND, FarmConfig, config_of_command_line
from std_daq.photons.service_options import add_ping_reply_option, add_system_options, positive_int, positive_seconds
from std_daq.service.checks import Check
from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.service.host_access import HostAccess, ipc_folders

_NAME = "sim-router"


def _instances(config: FarmConfig) -> list[Instance]:
    arguments: tuple[str, ...] = (
        "--frontend", config.frontend, "--backend", config.backend, "--max-queued", str(config.max_queued),
        "--ping-reply", config.ping_reply, "--instance", _NAME,
    )  # fmt: skip
    if config.keys is not None:
        arguments = (*arguments, "--keys", str(config.keys), *(["--plain-frontend"] if config.plain_frontend else []))
    return [Instance(_NAME, arguments)]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--frontend", default=DEFAULT_FRONTEND, metavar="ADDRESS", help="where clients connect; default %(default)s"
    )
    parser.add_argument(
        "--backend", default=DEFAULT_BACKEND, metavar="ADDRESS", help="where workers connect; default %(default)s"
    )
    parser.add_argument(
        "--max-queued", type=positive_int, default=10_000, metavar="N",
        help="requests that may wait; one more gets NO_WORKERS; default %(default)s",
    )  # fmt: skip
    add_ping_reply_option(parser)
    parser.add_argument(
        "--max-attempts", type=positive_int, default=5, metavar="N",
        help="an event with which so many workers have died gets SIM_FAILED; default %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--request-timeout-s", type=positive_seconds, default=600.0, metavar="SECONDS",
        help="a worker that finishes nothing for so long is stuck, and others get its requests; default %(default)g",
    )  # fmt: skip
    parser.add_argument(
        "--keys", type=Path, metavar="FILE", help="encrypt, and let those connect whose keys are in server.json"
    )
    parser.add_argument(
        "--plain-frontend", action="store_true",
        help="with --keys: clients connect without encryption, as those of others have to",
    )  # fmt: skip
    add_system_options(parser)


def _instance_of(arguments: argparse.Namespace, config: FarmConfig) -> str:  # noqa: ARG001
    return arguments.instance or _NAME


def _check_keys(config: FarmConfig) -> None:
    from std_daq.photons.keys import ServerKeys
    from std_sim_router.options import check_plain_frontend

    if config.plain_frontend:
        check_plain_frontend(config.keys)
    if config.keys is not None:
        ServerKeys.load("--keys", config.keys)


def _check_addresses(config: FarmConfig) -> None:
    import zmq

    from std_daq.photons.endpoints import bind_router

    with zmq.Context() as context:
        for option, address in (("--frontend", config.frontend), ("--backend", config.backend)):
            router, places = bind_router(context, option, address)
            places.close()
            router.close(linger=0)


KEYS = Check(subject="keys", run=_check_keys, is_of_machine=True, is_part_of_start=True)
ADDRESSES = Check(subject="addresses", run=_check_addresses, is_of_machine=True, is_part_of_start=True)


def _host_access(config: FarmConfig) -> HostAccess:
    return HostAccess(writes=ipc_folders(config.frontend, config.backend))


SERVICE = ServiceDescription(
    name=_NAME,
    package="std_sim_router",
    summary="Gives requests of photon simulation clients to workers, and the replies back.",
    config=FarmConfig,
    config_of=config_of_command_line,
    instances=_instances,
    checks=(KEYS, ADDRESSES),
    add_arguments=_add_arguments,
    instance_of=_instance_of,
    host_access=_host_access,
    figures=(
        Figure("events", "daq_sim_router_completed_total"),
        Figure("waiting", "daq_sim_router_waiting"),
        Figure("in flight", "daq_sim_router_in_flight"),
        Figure("workers", "daq_sim_router_workers"),
        Figure("given up", "daq_sim_router_given_up_total"),
    ),
)
