"""The report of a run, printed."""

import json

from std_daq.recording.id_ranges import format_id_ranges
from std_daq.recording.requests import RunReport, Verdict

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
