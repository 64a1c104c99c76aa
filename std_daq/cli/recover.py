"""Repair the file of a writer that was killed, or make the missing master file of a run from its data files.

The file is an image file or a merged file of events, which is made again from its event log.

A healthy file is not changed.

The file of a killed writer does not know which images are lost. The report of the run does: give the configuration,
whose agent has it in its journal, or the document that std-daq write --json has printed.
"""

import argparse
import json
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.shared_options import add_json_option
from std_daq.errors import ArgumentError

if TYPE_CHECKING:
    from std_daq.imaging.files.lost_ids import FindReport
    from std_daq.recording.repair import Recovery
    from std_daq.recording.requests import RunReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the image file, master file or merged file")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration of the detector: the journal of its agent names the lost images",
    )
    source.add_argument(
        "--report", type=Path, metavar="FILE", help="report of the run, as std-daq write --json has printed it"
    )
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
    is_merged = kind is FileKind.MERGED
    if is_merged and (arguments.config or arguments.report):
        option = "--config" if arguments.config else "--report"
        raise ArgumentError(option, "a merged file has its lost events in its event log", remedy="leave it out")
    recoveries = _recover(arguments.file, _report_finder(arguments), is_merged=is_merged)
    if arguments.json:
        documents = [
            {"file": str(one.path), f"n_{one.noun}": one.n_images, "actions": one.actions} for one in recoveries
        ]
        print(json.dumps(documents, indent=2))
        return 0
    for one in recoveries:
        print(f"{one.path}: {one.n_images} {one.noun}, {'; '.join(one.actions) or 'healthy, not changed'}")
    return 0


def _report_finder(arguments: argparse.Namespace) -> "FindReport | None":
    """Return what finds the report of a run where the arguments say that it is; None if they say nothing."""
    from std_daq.cli.path_checks import check_input_file

    if arguments.report is not None:
        check_input_file(arguments.report, "--report")
        try:
            reports = _reports_in(arguments.report.read_bytes())
        except (ValueError, RecursionError):
            raise ArgumentError(
                "--report",
                "this is no report of a run",
                value=arguments.report,
                remedy="std-daq write --json prints one",
            ) from None
        if len(reports) == 1:
            return lambda _: reports[0]
        return {report.request_id: report for report in reports}.get
    if arguments.config is None:
        return None
    from std_daq.config.system import read_config_of
    from std_daq.recording.config import RecordingConfig
    from std_daq.recording.journal_copy import find_report, journal_path

    journal = journal_path(read_config_of(arguments.config, RecordingConfig))
    check_input_file(journal, "--config")
    return cache(partial(find_report, journal))  # all files of a run ask for the same, and a journal may be large


def _reports_in(document: bytes) -> "list[RunReport]":
    """Return the report of a run, or those of all detectors; raises ValueError if there is none."""
    from pydantic import TypeAdapter
    from pydantic_core import from_json

    from std_daq.recording.requests import RunReport

    fields = from_json(document)
    by_detector = fields.get("detectors") if isinstance(fields, dict) else None
    documents = [*by_detector.values()] if isinstance(by_detector, dict) else [fields]
    reports = TypeAdapter(list[RunReport]).validate_python(documents)
    if not reports:
        raise ValueError("no detector has a report")
    return reports


def _recover(path: Path, find_report: "FindReport | None", *, is_merged: bool) -> "list[Recovery]":
    from std_daq.cli.console import print_progress
    from std_daq.recording.own_process import run_apart

    if is_merged:
        from std_daq.tpc.merged.recover import recover_merged

        return run_apart(lambda step: [recover_merged(path, after_each=step)], path, tell=print_progress)
    from std_daq.imaging.files.recover import recover

    return run_apart(lambda step: recover(path, find_report=find_report, after_each=step), path, tell=print_progress)
