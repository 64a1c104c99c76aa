"""Options that the commands of ``std-sim`` share."""

import argparse
from pathlib import Path

from std_daq.number_arguments import integer
from std_daq.photons.config import DEFAULT_FRONTEND, MAX_SEED


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
