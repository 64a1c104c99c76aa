"""The report of a run, printed."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from std_daq.recording.id_ranges import format_id_ranges
from std_daq.recording.requests import RunReport, Verdict

if TYPE_CHECKING:
    from std_daq.client.run_group import GroupReport

_MAX_IDS_CHARS = 400


def print_run_report(report: RunReport, *, as_json: bool, nouns: str = "images") -> None:
    """Print a report as text, or as a JSON document; ``nouns`` says what it counts."""
    if as_json:
        print(json.dumps(report.model_dump(mode="json"), indent=2))
        return
    wanted = "" if report.n_requested is None else f" of {report.n_requested}"
    print(f"{report.verdict}: {report.reason}" if report.reason else str(report.verdict))
    if report.verdict is Verdict.REFUSED:
        return
    print(
        f"{nouns:<8} {report.n_written}{wanted} written, {report.n_incomplete} of them incomplete, {report.n_lost} lost"
    )
    if report.lost_image_ids:
        text, n_left_out = format_id_ranges(report.lost_image_ids, _MAX_IDS_CHARS)
        n_left_out += report.lost_image_ids_truncated
        print(f"lost     {text}{f' and {n_left_out} more' if n_left_out else ''}")
    for file in report.files:
        print(f"file     {file}")
    if report.files_truncated:
        print(f"         and {report.files_truncated} more files")


def print_group_report(
    report: "GroupReport", *, as_json: bool, nouns: Mapping[str, str], problems: Mapping[str, str] | None = None
) -> None:
    """Print the report of several detectors.

    Parameters
    ----------
    report
        Their reports, and the verdict of all.
    as_json
        Whether a program reads it.
    nouns
        For each detector what its report counts.
    problems
        For each detector without a report why there is none; a person has been told them.
    """
    if as_json:
        print(json.dumps(report.to_json() | ({"problems": dict(problems)} if problems else {}), indent=2))
        return
    print(f"{report.verdict}: {report.reason}" if report.reason else str(report.verdict))
    for name, of_detector in report.reports.items():
        print(f"\n{name}")
        print_run_report(of_detector, as_json=False, nouns=nouns[name])
