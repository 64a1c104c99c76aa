"""Repair the file of a writer that was killed, or make the missing master file of a run from its data files.

The file is an image file or a merged file of events, which is made again from its event log.

A healthy file is not changed.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.shared_options import add_json_option
from std_daq.errors import ArgumentError

if TYPE_CHECKING:
    from std_daq.recording.repair import Recovery


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the image file, master file or merged file")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Repair the file; returns the exit code."""
    from std_daq.cli.path_checks import check_image_file
    from std_daq.tpc.file_kind import FileKind, kind_of

    check_image_file(arguments.file, "FILE")
    kind = kind_of(arguments.file)
    if kind not in {FileKind.IMAGES, FileKind.MERGED}:
        raise ArgumentError(
            "FILE",
            "GRAW and PFF files need no repair: what was written whole can be read, and the index stays as it is",
            value=arguments.file,
            remedy="std-daq validate tells what is in them",
        )
    recoveries = _recover(arguments.file, is_merged=kind is FileKind.MERGED)
    if arguments.json:
        documents = [
            {"file": str(one.path), f"n_{one.noun}": one.n_images, "actions": one.actions} for one in recoveries
        ]
        print(json.dumps(documents, indent=2))
        return 0
    for one in recoveries:
        print(f"{one.path}: {one.n_images} {one.noun}, {'; '.join(one.actions) or 'healthy, not changed'}")
    return 0


def _recover(path: Path, *, is_merged: bool) -> "list[Recovery]":
    from std_daq.cli.console import print_progress
    from std_daq.recording.own_process import run_apart

    if is_merged:
        from std_daq.tpc.merged.recover import recover_merged

        return run_apart(lambda step: [recover_merged(path, after_each=step)], path, tell=print_progress)
    from std_daq.imaging.files.recover import recover

    return run_apart(lambda step: recover(path, after_each=step), path, tell=print_progress)
