"""Make certificates and keys for TLS between servers, with a small certificate authority of their own.

The folder gets ca.pem, which both sides trust, and NAME-cert.pem and NAME-key.pem for each name; keys have mode 0600.
ca-key.pem makes further certificates: run the command again with the same folder and other names. Files that are
there stay as they are.
"""

import argparse
from pathlib import Path

from std_daq.cli.argument_types import positive_integer

_DAYS = 825


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the folder; made if need be")
    parser.add_argument(
        "--server",
        nargs="+",
        default=[],
        metavar="NAME",
        help="servers that send: the host or address at which receivers connect",
    )
    parser.add_argument("--client", nargs="+", default=[], metavar="NAME", help="servers that receive")
    parser.add_argument(
        "--days", type=positive_integer, default=_DAYS, help=f"how long certificates are valid; by default {_DAYS} days"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the files; returns the exit code."""
    from std_daq.errors import ConfigError
    from std_daq.streams.tcp.authority import CA_FILE, Authority, Part

    wanted = [(name, Part.SERVER) for name in arguments.server] + [(name, Part.CLIENT) for name in arguments.client]
    if not wanted:
        raise ConfigError("nobody to make a certificate for", remedy="give names with --server, --client or both")
    authority = Authority(arguments.output)
    authority.check([name for name, _ in wanted])
    authority.make()
    print(arguments.output / CA_FILE)
    for name, part in wanted:
        for file in authority.issue(name, part, arguments.days):
            print(file)
    return 0
