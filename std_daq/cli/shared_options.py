"""The options that several commands have: declared once, so that they mean the same everywhere."""

import argparse
from pathlib import Path

from std_daq.cli.argument_types import broker_url, positive_number


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--config`` of a command that serves any system."""
    parser.add_argument(
        "--config", required=True, type=Path, metavar="FILE", help="the configuration of any system, as detector.json"
    )


def add_images_config_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--config`` of a command that only makes sense for images."""
    parser.add_argument(
        "--config", required=True, type=Path, metavar="FILE", help="the detector.json; this command is for images only"
    )


def add_json_option(parser: argparse.ArgumentParser, what: str = "one JSON document on standard output") -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help=what)


def add_broker_url_option(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare ``--broker-url``."""
    parser.add_argument("--broker-url", metavar="URL", type=broker_url, help=f"without password; by default {default}")


def add_period_option(parser: argparse.ArgumentParser, default_s: float, *older_names: str) -> None:
    """Declare ``--period-s``."""
    parser.add_argument(
        "--period-s",
        *older_names,
        type=positive_number,
        default=default_s,
        metavar="SECONDS",
        help="between two readings, by default %(default)s",
    )
