"""The ``std-daq`` command: imports the module of a subcommand and runs it; ``std-daq --help`` imports none of them."""

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from std_daq.cli.command_parser import CommandParser, report_error
from std_daq.errors import EXIT_DONE, EXIT_FAILED, StdDaqError, exit_code_of
from std_daq.extras import extras_explained

# Each command is a module of this package that defines `add_arguments(parser)` and `run(arguments) -> exit code`.
COMMANDS = {
    "up": "run all services of a detector on this machine",
    "write": "write images to a file, and wait for the verdict",
    "kill": "end a running write request",
    "status": "show rates, losses, rings and the run",
    "view": "look at a live stream",
    "simulate": "send the packets of a simulated detector",
    "dump": "record UDP packets into capture files",
    "replay": "send recorded packets again",
    "validate": "check an image file",
    "recover": "repair the file of a writer that was killed",
    "join": "make one master file of the files of several servers",
    "doctor": "check this machine: kernel limits, memory, disk, broker, network",
    "config": "check, describe or import a configuration",
    "shm": "list or remove shared-memory rings",
    "broker-setup": "make users and rights for your own RabbitMQ",
    "certificates": "make certificates for TLS between servers",
    "pedestal": "make a pedestal file from dark images",
    "pff": "look into the files of a telescope, or copy them into HDF5",
    "live": "look at telescopes live: hosts, status, images",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    arguments_given = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _run(arguments_given)
        finally:  # also for --help and --version, which raise SystemExit
            sys.stdout.flush()
    except KeyboardInterrupt as error:
        return exit_code_of(error)
    except BrokenPipeError:
        pass  # the reader of the output ended early, as in `| head`; this needs no message
    except OSError as error:
        report_error("std-daq", f"standard output: {error.strerror or error}", as_json=False)
    # Python flushes standard output again when the process ends. That must not fail a second time.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_FAILED


def live() -> int:
    """Run ``std-daq live``; this is the command ``std-live``."""
    return main(["live", *sys.argv[1:]])


def _run(arguments_given: Sequence[str]) -> int:
    name = arguments_given[0] if arguments_given else "--help"
    if name not in COMMANDS:
        _overview().parse_args(arguments_given or ["--help"])
        return EXIT_DONE
    command = importlib.import_module(f"std_daq.cli.{name.replace('-', '_')}")
    parser = CommandParser(prog=f"std-daq {name}", description=command.__doc__)
    command.add_arguments(parser)
    arguments = parser.parse_args(arguments_given[1:])
    from std_daq.telemetry.logs import configure_logs

    configure_logs("info")
    try:
        with extras_explained():
            exit_code: int = command.run(arguments)
    except StdDaqError as error:
        return _fail(arguments_given, str(error), error)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        return _fail(arguments_given, f"{where}{error.strerror or error}", error)
    return exit_code


def _fail(arguments_given: Sequence[str], text: str, error: Exception) -> int:
    report_error(f"std-daq {arguments_given[0]}", text, as_json="--json" in arguments_given)
    return exit_code_of(error)


def _overview() -> CommandParser:
    parser = CommandParser(
        prog="std-daq",
        description="Data acquisition for fast detectors: UDP packets to NeXus files.",
        epilog="Run std-daq COMMAND --help for the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"std-daq {version('std-daq')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())
