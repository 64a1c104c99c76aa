"""Options that the commands of ``std-sim`` share."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.number_arguments import integer
from std_daq.photons.config import DEFAULT_FRONTEND, MAX_SEED

if TYPE_CHECKING:
    from std_daq.photons.sim_client import SimClient


def add_address_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--address``."""
    parser.add_argument(
        "--address", default=DEFAULT_FRONTEND, metavar="ADDRESS",
        help="where the router, or a standalone worker, takes clients; by default %(default)s",
    )  # fmt: skip
    add_keys_option(parser)


def add_keys_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--keys``."""
    parser.add_argument(
        "--keys", type=Path, metavar="FILE", help="the file of std-sim keys for this client, if the server encrypts"
    )


def open_client(arguments: argparse.Namespace) -> "SimClient":
    """Return a client of the server that ``--address``, ``--keys`` and, where there is one, ``--in-flight`` describe.

    What is wrong with them is told at once; the server is reached only when the client is used.

    Raises
    ------
    ArgumentError
        The address is none, or the file holds no keys of a client; the error names the option.
    """
    return client_at("--address", arguments.address, arguments)


def client_at(option: str, address: str, arguments: argparse.Namespace) -> "SimClient":
    """Return a client of the server at the address that ``option`` gives; the other options are those of `open_client`.

    Raises
    ------
    ArgumentError
        The address is none, or the file holds no keys of a client; the error names the option.
    """
    from std_daq.photons.endpoints import check_address
    from std_daq.photons.keys import ClientKeys
    from std_daq.photons.sim_client import N_IN_FLIGHT, SimClient

    check_address(option, address)
    keys = None if arguments.keys is None else ClientKeys.load("--keys", arguments.keys)
    return SimClient(address, n_in_flight=getattr(arguments, "in_flight", N_IN_FLIGHT), keys=keys)


def add_in_flight_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--in-flight``."""
    from std_daq.photons.service_options import positive_int
    from std_daq.photons.sim_client import N_IN_FLIGHT

    parser.add_argument(
        "--in-flight", type=positive_int, default=N_IN_FLIGHT, metavar="N",
        help="events that are sent ahead of their replies; by default %(default)s",
    )  # fmt: skip


def seed_number(text: str) -> int:
    """Convert a text to a seed of the engine."""
    value = integer(text)
    if not 0 <= value <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"{value} is not from 0 to {MAX_SEED}")
    return value
