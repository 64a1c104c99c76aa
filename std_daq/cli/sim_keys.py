"""Make keys for encryption between clients, router and workers of the photon simulation.

The command writes NAME.json for each worker or client, and server.json for the router or the standalone worker, which
knows them all. All have mode 0600. To add more, run the command again with the same folder and other names, and start
the router again.
"""

import argparse
import json
from pathlib import Path

from std_daq.cli.shared_options import add_json_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="the folder; created if missing")
    parser.add_argument("names", nargs="+", metavar="NAME", help="a worker or a client")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the keys; returns the exit code."""
    from std_daq.cli.path_checks import check_output_folder
    from std_daq.photons.keys import KeyFolder

    check_output_folder(arguments.output, "--output")
    files = [str(file) for file in KeyFolder(arguments.output).add(arguments.names)]
    print(json.dumps(files, indent=2) if arguments.json else "\n".join(files))
    return 0
