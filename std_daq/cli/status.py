"""Show the state of the services of a detector: rates, losses, rings and the run.

On a terminal the view is updated until Ctrl-C, and the last state stays there. A terminal that obeys no escape
sequences (TERM=dumb) gets each state below the one before. Elsewhere, and with --once or --json, the state is printed
once. The exit code is 0 if all services are ready, else 1.
"""

import argparse
import json
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from std_daq.cli.shared_options import add_config_option, add_json_option, add_period_option

if TYPE_CHECKING:
    from std_daq.client.status import DetectorStatus, StatusReader
    from std_daq.telemetry.terminal_console import TerminalConsole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_option(parser)
    add_json_option(parser)
    parser.add_argument("--once", action="store_true", help="print the status once, also on a terminal")
    add_period_option(parser, 1.0, "--period")


def run(arguments: argparse.Namespace) -> int:
    """Show the status; returns the exit code."""
    from std_daq.client.status import StatusReader
    from std_daq.config.system import load_any_config

    reader = StatusReader(load_any_config(arguments.config))
    if not (arguments.json or arguments.once) and sys.stdout.isatty():
        return _live(reader, arguments.period_s)
    # A rate is the difference of two readings.
    reader.read()
    time.sleep(arguments.period_s)
    status = reader.read()
    if arguments.json:
        print(json.dumps(status.to_json(), indent=2))
    else:
        from std_daq.telemetry.terminal_console import TerminalConsole

        _print(status, TerminalConsole())
    return _exit_code(status)


def _live(reader: "StatusReader", period_s: float) -> int:
    from rich.live import Live

    from std_daq.cli.interrupt import sigterm_raises
    from std_daq.cli.status_view import StatusView
    from std_daq.telemetry.terminal_console import TerminalConsole

    console = TerminalConsole()
    status = reader.read()
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        stack.enter_context(sigterm_raises())
        screen: Live | None = None
        if console.obeys_sequences:
            screen = stack.enter_context(Live(console=console, screen=True, auto_refresh=False))
        while True:
            if screen is None:
                _print(status, console)
            else:
                screen.update(StatusView(status, is_in_window=True), refresh=True)
            time.sleep(period_s)
            status = reader.read()
    if console.obeys_sequences:  # what was on the screen has gone with it
        _print(status, console)
    return _exit_code(status)


def _print(status: "DetectorStatus", console: "TerminalConsole") -> None:
    from std_daq.cli.status_view import StatusView

    console.print(StatusView(status), crop=False)
    if console.is_terminal and not console.obeys_sequences:
        console.print()


def _exit_code(status: "DetectorStatus") -> int:
    return 0 if status.is_ready else 1
