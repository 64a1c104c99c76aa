"""Save the journal of a writer agent, which says which requests were carried out, or put it back.

A backup is made beside the running agent, which does not notice it. To restore one, end the agent first.
"""

import argparse
import json
from pathlib import Path

from std_daq.cli.shared_options import add_config_option, add_json_option
from std_daq.errors import ResourceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    backup = actions.add_parser("backup", help="copy the journal into a new file, whether or not the agent runs")
    restore = actions.add_parser("restore", help="put a copy in the place of the journal, whose agent has ended")
    for action in (backup, restore):
        add_config_option(action)
        add_json_option(action)
    backup.add_argument("--output", required=True, type=Path, metavar="FILE", help="the copy; a new file")
    restore.add_argument("backup", type=Path, metavar="BACKUP", help="a file that backup has made")


def run(arguments: argparse.Namespace) -> int:
    """Copy in one direction or the other; returns the exit code."""
    from std_daq.cli.path_checks import check_input_file, check_new_file, check_output_file
    from std_daq.config.system import read_config_of
    from std_daq.recording.config import RecordingConfig
    from std_daq.recording.journal_copy import ASIDE, back_up_journal, journal_path, restore_journal

    journal = journal_path(read_config_of(arguments.config, RecordingConfig))
    if arguments.action == "backup":
        check_new_file(arguments.output, "--output", "give another name")
        if not journal.exists():
            raise ResourceError(f"{journal}: there is no journal; no writer agent of this configuration has run here")
        check_input_file(journal, "--config")
        n_requests = back_up_journal(journal, arguments.output)
        made, text = arguments.output, f"{n_requests} requests of {journal}"
    else:
        check_input_file(arguments.backup, "BACKUP")
        check_output_file(journal, "--config")
        was_there = journal.exists()
        n_requests = restore_journal(arguments.backup, journal)
        made, text = journal, f"{n_requests} requests of {arguments.backup}"
        if was_there:
            text += f"; what was there is {journal}{ASIDE}"
    print(json.dumps({"file": str(made), "n_requests": n_requests}) if arguments.json else f"{made}: {text}")
    return 0
