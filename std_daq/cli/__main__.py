"""The ``std-daq`` command: finds the module of a subcommand and runs it; ``--help`` loads none of them."""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from std_daq.errors import StdDaqError

# Each is a module of this package with `add_arguments(parser)` and `run(arguments) -> exit code`.
COMMANDS = {
    "up": "run all services of a detector on this machine",
    "write": "have images written to a file, and wait for the verdict",
    "kill": "end a running write request",
    "status": "show rates, losses, rings and the run",
    "view": "look at a live stream",
    "simulate": "send the packets of a simulated detector",
    "dump": "record UDP packets into capture files",
    "replay": "send recorded packets again",
    "validate": "check an image file",
    "recover": "repair the file of a writer that was killed",
    "doctor": "check this machine: kernel limits, memory, disk, broker, network",
    "config": "check, describe or import a configuration",
    "shm": "list or remove shared-memory rings",
    "broker-setup": "make users and rights for a RabbitMQ of one's own",
    "certificates": "make certificates for TLS between servers",
    "pedestal": "make a pedestal file from dark images",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    arguments_given = list(sys.argv[1:] if argv is None else argv)
    name = arguments_given[0] if arguments_given else "--help"
    if name not in COMMANDS:
        _overview().parse_args(arguments_given or ["--help"])
        return 0
    command = importlib.import_module(f"std_daq.cli.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(prog=f"std-daq {name}", description=command.__doc__)
    command.add_arguments(parser)
    arguments = parser.parse_args(arguments_given[1:])
    from std_daq.telemetry.logs import configure_logs

    configure_logs("info")
    try:
        exit_code: int = command.run(arguments)
        sys.stdout.flush()
    except StdDaqError as error:
        return _fail(name, str(error), error.exit_code, arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who reads the output has gone, as in `| head`; what is left in the buffer must not fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        return _fail(name, f"{where}{error.strerror or error}", StdDaqError.exit_code, arguments)
    return exit_code


def _fail(name: str, text: str, exit_code: int, arguments: argparse.Namespace) -> int:
    print(f"std-daq {name}: {text}", file=sys.stderr)
    if getattr(arguments, "json", False):
        print(json.dumps({"error": text}))
    return exit_code


def _overview() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="std-daq",
        description="Data acquisition for fast detectors: UDP packets to NeXus files.",
        epilog="std-daq COMMAND --help tells more.",
    )
    parser.add_argument("--version", action="version", version=f"std-daq {version('std-daq')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())
