"""Make a pair of CURVE keys for stream_send or stream_recv: NAME.secret stays here, NAME.public goes to the others.

The secret key is for its owner only. Existing files are left alone.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="of the server, as the files will be called")
    parser.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="by default the current one")


def run(arguments: argparse.Namespace) -> int:
    """Make the files; returns the exit code."""
    from std_daq.streams.curve_keys import make_keys

    for file in make_keys(arguments.folder, arguments.name):
        print(file)
    return 0
