"""Description of sim_worker for the platform: its processes and its options."""

import argparse
import os
import socket
from pathlib import Path

from std_daq.photons.config import (
    DEFAULT_BACKEND,
    DEFAULT_FRONTEND,
    MAX_SEED,
    FarmConfig,
    config_of_command_line,
)
from std_daq.photons.service_options import add_ping_reply_option, add_system_options, number_from_zero, positive_int
from std_daq.service.checks import Check
from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.service.host_access import HostAccess

_NAME = "sim-worker"
_ENGINES = ("auto", "cpu", "cuda")
_HOST_CHARACTERS = 16


def _instances(config: FarmConfig) -> list[Instance]:
    n_threads = config.threads_per_worker or max(1, len(os.sched_getaffinity(0)) // max(1, config.n_workers))
    arguments: tuple[str, ...] = (
        "--geometry", str(config.geometry), "--router", config.backend.replace("//*:", "//127.0.0.1:"),
        "--seed", str(config.seed), "--backend", config.engine, "--threads", str(n_threads),
        "--ping-reply", config.ping_reply,
    )  # fmt: skip
    if config.worker_keys is not None:
        arguments = (*arguments, "--keys", str(config.worker_keys))
    return [
        Instance(name := f"{_NAME}-{index}", (*arguments, "--device", str(index % config.n_gpus), "--instance", name))
        for index in range(config.n_workers)
    ]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--geometry", type=Path, required=True, metavar="FILE", help="the detector, as JSON or YAML")
    parser.add_argument("--standalone", action="store_true", help="speak with clients directly, without a router")
    parser.add_argument(
        "--frontend", default=DEFAULT_FRONTEND, metavar="ADDRESS",
        help="with --standalone: where clients connect; default %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--router", default=DEFAULT_BACKEND, metavar="ADDRESS",
        help="without --standalone: where the router takes workers; default %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--async", dest="is_async", action="store_true",
        help="with --standalone: accept events at once, and write their hits to a file",
    )  # fmt: skip
    parser.add_argument(
        "--output-directory", type=Path, default=Path(), metavar="DIR",
        help="with --async: where the files go; default: the working directory",
    )  # fmt: skip
    parser.add_argument(
        "--file-format", choices=("root", "hdf5"), default="root", help="with --async: default %(default)s"
    )
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="0 to 2^63 - 1; default %(default)s")
    parser.add_argument(
        "--backend",
        choices=_ENGINES,
        default="auto",
        help="what simulates; auto: cuda where there is a device, else cpu",
    )
    parser.add_argument("--threads", type=positive_int, metavar="N", help="of cpu; default: all cores")
    parser.add_argument(
        "--device", type=number_from_zero, default=0, metavar="N",
        help="of cuda: which GPU, as nvidia-smi numbers them; default %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--max-photons", type=positive_int, default=20_000_000, metavar="N",
        help="of one request; more get SIM_FAILED; default %(default)s",
    )  # fmt: skip
    add_ping_reply_option(parser)
    parser.add_argument(
        "--keys", type=Path, metavar="FILE",
        help="encrypt: the file of std-sim keys for this worker; with --standalone its server.json",
    )  # fmt: skip
    add_system_options(parser)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_SEED):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 to 2^63 - 1")
    return int(text)


def _instance_of(arguments: argparse.Namespace, config: FarmConfig) -> str:  # noqa: ARG001
    """Return a name that differs from that of other workers: by the process, or, in a container, by the host."""
    pid = os.getpid()
    own = str(pid) if pid != 1 else socket.gethostname()[:_HOST_CHARACTERS]
    return arguments.instance or f"{_NAME}-{own}"


def _check_geometry(config: FarmConfig) -> None:
    from std_daq.photons.detector import PhotonDetector

    PhotonDetector.load(config.geometry)


def _check_keys(config: FarmConfig) -> None:
    from std_daq.photons.keys import ClientKeys

    if config.worker_keys is not None:
        ClientKeys.load("--keys", config.worker_keys)


def _check_engine(config: FarmConfig) -> None:
    from std_daq.photons.engine import check_engine

    for device in range(min(config.n_gpus, config.n_workers)):
        check_engine(config.engine, device)


GEOMETRY = Check(subject="geometry", run=_check_geometry, is_part_of_start=True)
KEYS = Check(subject="keys", run=_check_keys, is_of_machine=True, is_part_of_start=True)
ENGINE = Check(subject="engine", run=_check_engine, is_of_machine=True, is_part_of_start=True)


def _host_access(config: FarmConfig) -> HostAccess:
    return HostAccess(uses_any_device=config.engine != "cpu")


SERVICE = ServiceDescription(
    name=_NAME,
    package="std_sim_worker",
    summary="Simulates the photons of clients, behind a router or by itself.",
    config=FarmConfig,
    config_of=config_of_command_line,
    instances=_instances,
    checks=(GEOMETRY, KEYS, ENGINE),
    add_arguments=_add_arguments,
    instance_of=_instance_of,
    host_access=_host_access,
    figures=(
        Figure("events", "daq_sim_worker_events_total"),
        Figure("photons", "daq_sim_worker_photons_total"),
        Figure("in hand", "daq_sim_worker_in_hand"),
        Figure("failed", "daq_sim_worker_failed_total"),
    ),
)
