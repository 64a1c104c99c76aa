"""Show the state of the services of a detector: rates, losses, rings and the run.

On a terminal the view is updated until Ctrl-C. Elsewhere, and with --once or --json, it is printed once. The exit code
is 0 if all services are ready, else 1.
"""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from std_daq.cli.shared_options import add_config_option, add_json_option, add_period_option

if TYPE_CHECKING:
    from std_daq.client.status import DetectorStatus, StatusReader


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
        from std_daq.cli.console import table_console
        from std_daq.cli.status_view import status_view

        table_console().print(status_view(status))
    return _exit_code(status)


def _live(reader: "StatusReader", period_s: float) -> int:
    from rich.live import Live

    from std_daq.cli.console import table_console
    from std_daq.cli.status_view import status_view

    status = reader.read()
    with Live(status_view(status), console=table_console(), screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(period_s)
                status = reader.read()
                live.update(status_view(status), refresh=True)
        except KeyboardInterrupt:
            return _exit_code(status)


def _exit_code(status: "DetectorStatus") -> int:
    return 0 if status.is_ready else 1
