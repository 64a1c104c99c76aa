"""Repair the image file of a writer that was killed, or make the missing master file of a run from its data files.

A healthy file is not changed.
"""

import argparse
import json
from pathlib import Path

from std_daq.cli.shared_options import add_json_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the image file, or the master file of the run")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Repair the file; returns the exit code."""
    from std_daq.cli.path_checks import check_image_file
    from std_daq.imaging.files.recover import recover

    check_image_file(arguments.file, "FILE")
    recoveries = recover(arguments.file)
    if arguments.json:
        documents = [{"file": str(one.path), "n_images": one.n_images, "actions": one.actions} for one in recoveries]
        print(json.dumps(documents, indent=2))
        return 0
    for one in recoveries:
        print(f"{one.path}: {one.n_images} images, {'; '.join(one.actions) or 'healthy, not changed'}")
    return 0
