"""CommandParser: the argument parser of a command, whose errors look like all others of the command."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from std_daq.errors import EXIT_WRONG_CALL


class CommandParser(argparse.ArgumentParser):
    """Takes options by their whole names only, so that a new option never changes what a script means.

    Where ``--json`` is given, an error is a JSON document on standard output, too.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)
        self._is_json = False

    def parse_known_args(  # type: ignore[override]  # the two overloads of argparse differ in the namespace only
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Read arguments, as argparse does; see there."""
        self._is_json = "--json" in (args or ())
        return super().parse_known_args(args, namespace)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help or version; argparse's own ignores where that cannot be written."""
        (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong with the arguments, and end the command."""
        self.print_usage(sys.stderr)
        report_error(self.prog, message, as_json=self._is_json)
        raise SystemExit(EXIT_WRONG_CALL)


def report_error(prog: str, text: str, *, as_json: bool) -> None:
    """Tell an error in one line, and as a document for whoever reads JSON."""
    print(f"{prog}: {text}", file=sys.stderr)
    if as_json:
        with suppress(OSError):  # where nothing can be written to standard output, the line above has to do
            print(json.dumps({"error": text}))
