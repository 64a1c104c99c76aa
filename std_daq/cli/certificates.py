"""Make certificates and keys for TLS between servers, signed by a small certificate authority of your own.

The command writes ca.pem, which both sides trust, and NAME-cert.pem and NAME-key.pem for each name. Keys have mode
0600. To make more certificates, run the command again with the same folder and other names: it signs them with
ca-key.pem and leaves existing files unchanged.
"""

import argparse
import json
from pathlib import Path

from std_daq.cli.argument_types import positive_integer
from std_daq.cli.shared_options import add_json_option
from std_daq.errors import ArgumentError

_DAYS = 825


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="the folder; created if missing")
    parser.add_argument(
        "--server",
        nargs="+",
        default=[],
        metavar="NAME",
        help="servers that send; NAME is the host name or IP address to which receivers connect",
    )
    parser.add_argument("--client", nargs="+", default=[], metavar="NAME", help="servers that receive")
    parser.add_argument(
        "--days", type=positive_integer, default=_DAYS, help=f"days that a certificate is valid; by default {_DAYS}"
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make the certificates and keys; returns the exit code."""
    from std_daq.cli.path_checks import check_output_folder
    from std_daq.streams.tcp.authority import CA_FILE, Authority, Part

    wanted = [(name, Part.SERVER) for name in arguments.server] + [(name, Part.CLIENT) for name in arguments.client]
    if not wanted:
        raise ArgumentError("--server/--client", "no name to make a certificate for", remedy="give at least one name")
    check_output_folder(arguments.output, "--output")
    authority = Authority(arguments.output)
    authority.check([name for name, _ in wanted])
    authority.make()
    files = [arguments.output / CA_FILE]
    for name, part in wanted:
        files += authority.issue(name, part, arguments.days)
    if arguments.json:
        print(json.dumps([str(file) for file in files], indent=2))
    else:
        for file in files:
            print(file)
    return 0
