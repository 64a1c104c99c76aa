"""List the light sensors of the detector: channel, place in mm, type."""

import argparse
import json

from std_daq.cli.shared_options import add_json_option
from std_daq.cli.sim_options import add_address_option, open_client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_address_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """List them; returns the exit code."""
    with open_client(arguments) as client:
        channels = client.detector_info()
    if arguments.json:
        print(json.dumps({"positions": channels.positions.tolist(), "types": channels.types.tolist()}))
        return 0
    for channel, (place, kind) in enumerate(zip(channels.positions.tolist(), channels.types.tolist(), strict=True)):
        print(channel, *(f"{coordinate:.3f}" for coordinate in place), kind)
    return 0
