"""CommandSet: a program with subcommands, each of which is a module that is imported when it is called."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from std_daq.cli.command_parser import CommandParser, report_error
from std_daq.cli.console import printable_output
from std_daq.errors import EXIT_DONE, EXIT_FAILED, StdDaqError, exit_code_of
from std_daq.extras import extras_explained


class CommandSet:
    """The subcommands of a program.

    Parameters
    ----------
    prog
        Name of the program.
    description
        What the program is for, in one sentence.
    commands
        Name and summary of each subcommand.
    module_prefix
        What stands before the name of a subcommand in the name of its module.
    """

    def __init__(self, *, prog: str, description: str, commands: Mapping[str, str], module_prefix: str) -> None:
        self._prog = prog
        self._description = description
        self._commands = commands
        self._module_prefix = module_prefix

    def run(self, argv: Sequence[str] | None = None) -> int:
        """Run one subcommand and return its exit code."""
        arguments_given = list(sys.argv[1:] if argv is None else argv)
        with printable_output():
            return self._run_printable(arguments_given)

    def _run_printable(self, arguments_given: Sequence[str]) -> int:
        try:
            try:
                return self._run(arguments_given)
            finally:  # also for --help and --version, which raise SystemExit
                sys.stdout.flush()
        except KeyboardInterrupt as error:
            return exit_code_of(error)
        except BrokenPipeError:
            pass  # the reader of the output ended early, as in `| head`; this needs no message
        except OSError as error:
            report_error(self._prog, f"standard output: {error.strerror or error}", as_json=False)
        # Python flushes standard output again when the process ends. That must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED

    def _run(self, arguments_given: Sequence[str]) -> int:
        name = arguments_given[0] if arguments_given else "--help"
        if name not in self._commands:
            self._overview().parse_args(arguments_given or ["--help"])
            return EXIT_DONE
        command = importlib.import_module(f"{self._module_prefix}{name.replace('-', '_')}")
        parser = CommandParser(prog=f"{self._prog} {name}", description=command.__doc__)
        command.add_arguments(parser)
        arguments = parser.parse_args(arguments_given[1:])
        from std_daq.telemetry.logs import configure_logs

        configure_logs("info", service=f"{self._prog} {name}")
        try:
            with extras_explained():
                exit_code: int = command.run(arguments)
        except StdDaqError as error:
            return self._fail(arguments_given, str(error), error)
        except BrokenPipeError:
            raise
        except OSError as error:
            where = "" if error.filename is None else f"{error.filename}: "
            return self._fail(arguments_given, f"{where}{error.strerror or error}", error)
        return exit_code

    def _fail(self, arguments_given: Sequence[str], text: str, error: Exception) -> int:
        report_error(f"{self._prog} {arguments_given[0]}", text, as_json="--json" in arguments_given)
        return exit_code_of(error)

    def _overview(self) -> CommandParser:
        parser = CommandParser(
            prog=self._prog,
            description=self._description,
            epilog=f"Run {self._prog} COMMAND --help for the options of a command.",
        )
        parser.add_argument("--version", action="version", version=f"{self._prog} {version('std-daq')}")
        commands = parser.add_subparsers(metavar="COMMAND", required=True)
        for name, summary in self._commands.items():
            commands.add_parser(name, help=summary, add_help=False)
        return parser
