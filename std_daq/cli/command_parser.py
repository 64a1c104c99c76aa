"""CommandParser: the argument parser of a command; it reports errors as the command reports all its errors."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from std_daq.errors import EXIT_WRONG_CALL
from std_daq.help_formatter import HelpFormatter


class CommandParser(argparse.ArgumentParser):
    """Parses the arguments of a command, and accepts options only by their full names.

    An abbreviation in a script could otherwise become ambiguous when a new option is added. With ``--json``, the parser
    also prints an error as a JSON document on standard output.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=HelpFormatter, **settings)
        self._is_json = False

    def parse_known_args(  # type: ignore[override]  # the two overloads of argparse differ in the namespace only
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse arguments as argparse does; also notes whether ``--json`` is among them."""
        self._is_json = "--json" in (args or ())
        return super().parse_known_args(args, namespace)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help or version; unlike the method of argparse, it raises OSError if that cannot be written."""
        (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Report an error in the arguments, and exit."""
        self.print_usage(sys.stderr)
        report_error(self.prog, message, as_json=self._is_json)
        raise SystemExit(EXIT_WRONG_CALL)


def report_error(prog: str, text: str, *, as_json: bool) -> None:
    """Print an error as one line on standard error; with ``as_json`` also as a JSON document on standard output."""
    print(f"{prog}: {text}", file=sys.stderr)
    if as_json:
        with suppress(OSError):  # if standard output cannot be written, the line above is the only report
            print(json.dumps({"error": text}))
