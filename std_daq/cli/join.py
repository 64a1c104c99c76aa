"""Join the files of several servers, to which the detector sent its frames in turn, under one master file.

The exit code tells the verdict of the whole, as that of `std-daq write` does.
"""

import argparse
from pathlib import Path

from std_daq.cli.shared_options import add_json_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("master", type=Path, metavar="MASTER", help="the master file to write, beside the files")
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="the image file, or the master file, of each server"
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the master file; returns the exit code."""
    from std_daq.cli.path_checks import check_given_once, check_input_file, check_new_file
    from std_daq.cli.run_report import print_run_report
    from std_daq.imaging.files.join import join

    check_new_file(arguments.master, "MASTER", "give another name")
    for file in arguments.files:
        check_input_file(file, "FILE")
    check_given_once(arguments.files, "FILE")
    report = join(arguments.master, arguments.files)
    print_run_report(
        report.model_copy(update={"files": (str(arguments.master), *report.files)}), as_json=arguments.json
    )
    return report.verdict.exit_code
