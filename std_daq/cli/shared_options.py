"""Options that several commands share; each is declared once, so that it means the same in every command."""

import argparse
from pathlib import Path

from std_daq.cli.argument_types import broker_url, natural_number, positive_number


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--config`` for a command that works with any system."""
    parser.add_argument(
        "--config",
        required=True,
        type=Path,
        metavar="FILE",
        help="the configuration of any system, for example detector.json",
    )


def add_images_config_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--config`` for a command that works with images only."""
    parser.add_argument(
        "--config",
        required=True,
        type=Path,
        metavar="FILE",
        help="the detector.json; this command works with images only",
    )


IMAGES_OR_CHAMBER = "give the detector.json of a detector, or the tpc.json of a chamber"
"""What a command that sends or records needs."""


def add_sending_config_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--config`` for a command that sends images or the events of a chamber."""
    parser.add_argument(
        "--config",
        required=True,
        type=Path,
        metavar="FILE",
        help="the detector.json, or the tpc.json of a chamber",
    )


def add_json_option(parser: argparse.ArgumentParser, what: str = "print one JSON document on standard output") -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help=what)


def add_broker_url_option(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare ``--broker-url``."""
    parser.add_argument(
        "--broker-url", metavar="URL", type=broker_url, help=f"without a password; by default {default}"
    )


def add_period_option(parser: argparse.ArgumentParser, default_s: float, *older_names: str) -> None:
    """Declare ``--period-s``."""
    parser.add_argument(
        "--period-s",
        *older_names,
        type=positive_number,
        default=default_s,
        metavar="SECONDS",
        help="time between two readings; by default %(default)s",
    )


def add_when_requested_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--when-requested``."""
    parser.add_argument(
        "--when-requested",
        action="store_true",
        help="wait until a run on this machine waits for its first image, such as one of std-daq write beside it",
    )


def add_destination_options(parser: argparse.ArgumentParser) -> None:
    """Declare where packets go."""
    parser.add_argument(
        "--host",
        help="host or multicast group to which the packets go; by default this machine, or the group in udp.address, "
        "which then stays on this machine",
    )
    parser.add_argument(
        "--interface", metavar="NAME", help="interface through which packets to a group leave; by default udp.interface"
    )
    parser.add_argument(
        "--hops",
        type=natural_number,
        metavar="N",
        help="networks over which packets to a group go: 0 is this machine only; by default 1 with --host, else 0",
    )
