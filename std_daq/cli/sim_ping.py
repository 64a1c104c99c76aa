"""Ask whether a server of the photon simulation answers, and how long it takes."""

import argparse
import json

from std_daq.cli.argument_types import positive_number
from std_daq.cli.shared_options import add_json_option
from std_daq.cli.sim_options import add_address_option, open_client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_address_option(parser)
    add_json_option(parser)
    parser.add_argument(
        "--timeout-s", type=positive_number, default=5.0, metavar="SECONDS", help="by default %(default)g"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask; returns the exit code."""
    with open_client(arguments) as client:
        seconds = client.ping(arguments.timeout_s)
    if arguments.json:
        print(json.dumps({"address": arguments.address, "seconds": seconds}))
    else:
        print(f"{arguments.address} answers after {seconds * 1000:.1f} ms")
    return 0
