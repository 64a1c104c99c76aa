"""Write a dashboard of Grafana for the metrics of the services.

Example: std-daq grafana --config detector.json --output std-daq-dashboard.json

Import the file in Grafana. It lets you choose the data source, the detectors and the servers. Call the command again
after an update of std-daq, and import the file again: it takes the place of the old dashboard.
"""

import argparse
import json
from pathlib import Path

from std_daq.cli.shared_options import add_json_option
from std_daq.errors import ArgumentError, ConfigError

DASHBOARD = "std-daq-dashboard.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--config",
        nargs="+",
        type=Path,
        default=(),
        metavar="FILE",
        help="the configurations of the systems to watch, for example detector.json: the dashboard then has rows of "
        "their services alone; by default it has those of all services",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(DASHBOARD),
        metavar="FILE",
        help=f"the file; an earlier dashboard there is replaced; by default {DASHBOARD}",
    )
    parser.add_argument(
        "--title", default="std-daq", metavar="TEXT", help="the title of the dashboard; by default std-daq"
    )
    add_json_option(parser, "print the path of the file as a JSON text")


def run(arguments: argparse.Namespace) -> int:
    """Write the file; returns the exit code."""
    from std_daq.cli.path_checks import check_output_file
    from std_daq.config.system import load_any_config
    from std_daq.service.registry import wanted_instances
    from std_daq.telemetry.grafana.dashboard import make_dashboard

    check_output_file(arguments.output, "--output", arguments.config, in_place=True)
    services = set()
    for file in arguments.config:
        try:
            services |= {one.service.name for one in wanted_instances(load_any_config(file))}
        except ConfigError as error:
            raise error if error.file else error.in_file(file) from None
    _check_replaceable(arguments.output)
    dashboard = make_dashboard(arguments.title, services if arguments.config else None)
    arguments.output.write_text(json.dumps(dashboard, indent=2) + "\n")
    print(json.dumps(str(arguments.output)) if arguments.json else arguments.output)
    return 0


def _check_replaceable(file: Path) -> None:
    """Refuse to replace a file that is no dashboard of std-daq."""
    from std_daq.telemetry.grafana.dashboard import UID

    if not file.is_file():
        return
    try:
        is_ours = json.loads(file.read_text())["uid"] == UID
    except (ValueError, TypeError, KeyError):
        is_ours = False
    if not is_ours:
        raise ArgumentError(
            "--output", "this file was not written by 'std-daq grafana'", value=file, remedy="give another path"
        )
