"""Check whether a file is complete, consistent and unchanged: of images, of events, or an index of PFF or GRAW files.

The exit code is 0 if the file is sound, 1 if it is not, and 5 if it is sound and the run that made it failed. The file
of an incomplete run is sound if its verdict says incomplete.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from std_daq.cli.argument_types import natural_number, positive_integer
from std_daq.cli.shared_options import add_json_option
from std_daq.errors import EXIT_DONE, EXIT_FAILED, ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from std_daq.imaging.files.validate import ValidationReport
    from std_daq.telescope.pff.index import PffReport
    from std_daq.tpc.file_kind import FileKind
    from std_daq.tpc.frames.graw_index import GrawIndexReport
    from std_daq.tpc.frames.validate import GrawReport
    from std_daq.tpc.merged.validate import MergedReport

    AnyReport = ValidationReport | MergedReport | PffReport | GrawIndexReport | GrawReport

Report = TypeVar("Report", "ValidationReport", "MergedReport", "PffReport", "GrawIndexReport")

_MANY_IDS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="the image file, master file, merged file, GRAW file, or index of PFF or GRAW files (.json)",
    )
    add_json_option(parser)
    parser.add_argument(
        "--max-images-read",
        "--max-events-read",
        type=positive_integer,
        metavar="N",
        help="read the pixels of at most N images, or the traces of N events; by default of all",
    )
    parser.add_argument(
        "--picture", type=Path, metavar="PNG", help="also make a picture of images, if the file is sound"
    )
    parser.add_argument(
        "--image", type=natural_number, metavar="ROW", help="image in the picture; by default the mean of all images"
    )


def run(arguments: argparse.Namespace) -> int:
    """Check the file; returns the exit code."""
    from std_daq.cli.path_checks import check_image_file
    from std_daq.tpc.file_kind import FileKind, kind_of

    check_image_file(arguments.file, "FILE")
    kind = kind_of(arguments.file)
    if kind is FileKind.IMAGES:
        return _validate_images(arguments)
    if arguments.picture is not None:
        raise ArgumentError("--picture", f"{arguments.file} has no images", remedy="leave it out")
    report = _report_of_events(kind, arguments)
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        print(_heading(report))
        for line in (*report.lines(), *report.problems):
            print(f"  {line}")
    return _exit_code(report)


def _exit_code(report: "AnyReport") -> int:
    """Return the exit code: that of a failed run for a sound file of one."""
    from std_daq.recording.requests import Verdict

    if not report.is_valid:
        return EXIT_FAILED
    return Verdict.FAILED.exit_code if _has_failed(report) else EXIT_DONE


def _heading(report: "AnyReport") -> str:
    state = "NOT sound" if not report.is_valid else "sound, but its run FAILED" if _has_failed(report) else "sound"
    return f"{report.path}: {state}"


def _has_failed(report: "AnyReport") -> bool:
    from std_daq.recording.requests import Verdict

    return getattr(report, "verdict", "") == Verdict.FAILED  # a GRAW file by itself has no verdict


def _report_of_events(
    kind: "FileKind", arguments: argparse.Namespace
) -> "MergedReport | GrawReport | GrawIndexReport | PffReport":
    from std_daq.tpc.file_kind import FileKind

    if kind is FileKind.GRAW:
        from std_daq.tpc.frames.validate import validate_graw

        return validate_graw(arguments.file)
    if kind is FileKind.GRAW_INDEX:
        from std_daq.tpc.frames.graw_index import GrawIndexReport, validate_graw_index

        return _apart(
            lambda step: validate_graw_index(arguments.file, after_each=step), arguments.file, GrawIndexReport
        )
    if kind is FileKind.PFF_INDEX:
        from std_daq.telescope.pff.index import PffReport, validate_index

        return _apart(lambda step: validate_index(arguments.file, after_each=step), arguments.file, PffReport)
    from std_daq.tpc.merged.validate import MergedReport, validate_merged

    return _apart(
        lambda step: validate_merged(arguments.file, max_events_read=arguments.max_images_read, after_each=step),
        arguments.file,
        MergedReport,
    )


def _validate_images(arguments: argparse.Namespace) -> int:
    from std_daq.cli.path_checks import check_output_file
    from std_daq.imaging.files.validate import ValidationReport, validate

    if arguments.picture is not None:
        check_output_file(arguments.picture, "--picture", [arguments.file], endings=[".png"])
    report = _apart(
        lambda step: validate(arguments.file, max_images_read=arguments.max_images_read, after_each=step),
        arguments.file,
        ValidationReport,
    )
    if arguments.picture is not None and report.is_valid and (arguments.image or 0) >= report.n_images:
        raise ArgumentError("--image", f"the file has {report.n_images} images, counted from 0", value=arguments.image)
    if arguments.picture is not None and report.is_valid:
        from std_daq.imaging.files.picture import write_picture

        write_picture(arguments.file, arguments.picture, "mean" if arguments.image is None else arguments.image)
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        _print_report(report)
    return _exit_code(report)


def _apart(
    work: "Callable[[Callable[[], None]], Report]", path: Path, report_of: "Callable[[str], Report]"
) -> "Report":
    """Check a file in a process of its own; a crash is a problem of the file."""
    from std_daq.cli.console import print_progress
    from std_daq.recording.own_process import CrashError, run_apart

    try:
        return run_apart(work, path, tell=print_progress)
    except CrashError as error:
        report = report_of(str(path))
        report.error(str(error).removeprefix(f"{path}: "), "take the file from a copy")
        return report


def _print_report(report: "ValidationReport") -> None:
    print(_heading(report))
    if report.verdict:
        print(f"  run       {report.verdict}{': ' if report.reason else ''}{report.reason}")
    wanted = "" if report.n_requested is None else f" of {report.n_requested}"
    print(f"  images    {report.n_images}{wanted}, pixels of {report.n_images_read} read")
    if report.image_ids.first is not None:
        print(f"  ids       {report.image_ids.first} to {report.image_ids.last}")
    flags = ", ".join(f"{name} {n}" for name, n in report.status_counts.items() if n)
    if flags:
        print(f"  status    {flags}")
    if report.faults:
        print(f"  faults    {report.faults}")
    if any(report.missing_packets):
        missing = ", ".join(f"module {module}: {n}" for module, n in enumerate(report.missing_packets) if n)
        print(f"  packets   missing in {missing}")
    if report.lost_image_ids:
        ids = ", ".join(map(str, report.lost_image_ids[:_MANY_IDS]))
        more = len(report.lost_image_ids) - _MANY_IDS
        print(f"  lost      {ids}{f' and {more} more' if more > 0 else ''}")
    for name in report.data_files:
        print(f"  data      {name}")
    for problem in report.problems:
        print(f"  {problem}")
