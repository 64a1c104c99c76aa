"""Write units of systemd: a service for each process of a system, and a target that starts them together.

Example: sudo std-daq systemd --config /etc/std-daq/detector.json --output /etc/systemd/system

The services run with the installation to which this command belongs. Run it again after a change of the configuration:
it tells what has changed, and removes the units that are needed no more.
"""

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.path_checks import check_input_file, check_output_folder
from std_daq.cli.shared_options import add_json_option
from std_daq.errors import ConfigError

if TYPE_CHECKING:
    from std_daq.systemd.unit_folder import UnitChange

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}|[0-9]{1,10}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--config",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="the configurations of the systems of this server, where the services will find them",
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FOLDER", help="the folder of the units: /etc/systemd/system"
    )
    parser.add_argument(
        "--user",
        type=_user_name,
        default="std-daq",
        metavar="NAME",
        help="the user of the services, a system user; by default %(default)s",
    )
    parser.add_argument(
        "--group", type=_user_name, metavar="NAME", help="the group of the services; by default that of --user's name"
    )
    parser.add_argument(
        "--broker-url-file",
        type=Path,
        metavar="FILE",
        help="file with the URL of the broker, which root alone may read; by default broker.url_file",
    )
    parser.add_argument(
        "--client-url-file",
        type=Path,
        metavar="FILE",
        help="file with the URL of a client of the broker, for services that are its clients, as the console; "
        "by default TAG-client.url beside the other",
    )
    add_json_option(parser, "print a JSON list of files, each with what became of it")


def _user_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a name nor a number of a user or group")
    return text


def run(arguments: argparse.Namespace) -> int:
    """Write the units; returns the exit code."""
    from std_daq.config.system import load_any_config
    from std_daq.systemd.unit_folder import write_units
    from std_daq.systemd.units import UnitOptions, check_names, units_of

    check_output_folder(arguments.output, "--output")
    options = UnitOptions(
        arguments.user,
        arguments.group or arguments.user,
        broker_url_file=_checked(arguments.broker_url_file, "--broker-url-file"),
        client_url_file=_checked(arguments.client_url_file, "--client-url-file"),
    )
    units: dict[str, str] = {}
    names, remarks = [], []
    for file in arguments.config:
        try:
            config = load_any_config(file)
            more = units_of(config, file, options)
        except ConfigError as error:
            raise error if error.file else error.in_file(file) from None
        check_names(units, more, file)
        units |= more
        names.append(config.name)
        remarks += _remarks(config)
    changes = write_units(arguments.output, units, names)
    if arguments.json:
        print(
            json.dumps([{"file": str(one.file), "change": one.what, "lines": one.lines} for one in changes], indent=2)
        )
    else:
        _print(changes, names, remarks)
    return 0


def _checked(file: Path | None, option: str) -> Path | None:
    if file is None:
        return None
    check_input_file(file, option)
    return file.absolute()


def _print(changes: "list[UnitChange]", systems: list[str], remarks: list[str]) -> None:
    from std_daq.systemd.unit_folder import REMOVED, SAME
    from std_daq.systemd.units import target_name

    for change in changes:
        print(f"{change.file}  {change.what}")
        for line in change.lines:
            print(f"    {line}")
    for remark in remarks:
        print(remark)
    if all(change.what == SAME for change in changes):
        print("nothing has changed")
        return
    gone = [change.file.name for change in changes if change.what == REMOVED]
    stop = f"systemctl stop {' '.join(gone)} && " if gone else ""
    targets = " ".join(map(target_name, systems))
    print(f"next: {stop}systemctl daemon-reload && systemctl enable {targets} && systemctl restart {targets}")


def _remarks(config: object) -> list[str]:
    """Return what the configuration leaves open and a server should not."""
    from std_daq.recording.config import RecordingConfig

    if not isinstance(config, RecordingConfig):
        return []
    remarks = []
    if not config.writer.output_roots:
        remarks.append(
            f"{config.name}: writer.output_roots names no folder, so the writers may write wherever their user may"
        )
    if config.writer.journal is None:
        remarks.append(
            f"{config.name}: writer.journal is not set, so a restart of this machine forgets which requests were "
            "accepted; set it to /var/lib/std-daq/journal.sqlite"
        )
    return remarks
