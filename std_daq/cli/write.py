"""Have images written to a file; wait for the verdict and end with it.

Exit codes: 0 complete, 3 incomplete, 4 killed, 5 failed, 6 refused; 1 when the request could not be sent.
The first Ctrl-C kills the run and waits for its verdict, a second one leaves at once.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import broker_url
from std_daq.errors import RequestRefusedError, StdDaqError

if TYPE_CHECKING:
    from std_daq.client import DaqClient, Run
    from std_daq.recording.requests import HeaderValue, RunReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the detector.json")
    parser.add_argument(
        "--broker-url",
        metavar="URL",
        type=broker_url,
        help="without password; by default that of std-daq up or of the configuration",
    )
    parser.add_argument("--output-file", required=True, type=Path, metavar="PATH", help="the file, or the master file")
    parser.add_argument("--n-images", type=int, metavar="N", help="by default until killed")
    parser.add_argument("--start-image-id", type=int, metavar="ID", help="also in the past; by default the next image")
    parser.add_argument("--compression", choices=("none", "bslz4"), default="none", help="by default %(default)s")
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--images-per-file", type=int, metavar="N", help="a data file for each so many images")
    files.add_argument("--n-files", type=int, metavar="N", help="so many data files share the images")
    parser.add_argument(
        "--conflict", choices=("refuse", "rename"), default="refuse", help="if the file exists; by default %(default)s"
    )
    parser.add_argument(
        "--metadata", action="append", default=[], metavar="KEY=VALUE", help="stored in the file; may be repeated"
    )
    parser.add_argument("--first-image-timeout", type=float, metavar="SECONDS", help="by default as configured")
    parser.add_argument("--image-timeout", type=float, metavar="SECONDS", help="by default as configured")
    parser.add_argument("--detach", action="store_true", help="print the request id and do not wait")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Send the request and wait; returns the exit code."""
    from std_daq.cli.interrupt import FirstInterrupt
    from std_daq.cli.progress import RunProgress
    from std_daq.client import DaqClient, RunReport, Verdict

    request_id = ""
    try:
        client = DaqClient(arguments.config, arguments.broker_url)
        with FirstInterrupt() as interrupt, _submit(client, arguments) as run:
            request_id = run.request_id
            if arguments.detach:
                print(json.dumps({"request_id": request_id}) if arguments.json else request_id)
                return 0
            with RunProgress(run, arguments.n_images) as progress:
                report = progress.follow(lambda: interrupt.has_come)
    except RequestRefusedError as error:
        report = RunReport(request_id=request_id, verdict=Verdict.REFUSED, reason=str(error))
    except StdDaqError as error:
        if not arguments.json:
            raise
        print(f"std-daq write: {error}", file=sys.stderr)
        _print_json(RunReport(request_id=request_id, verdict=Verdict.FAILED, reason=str(error)))
        return error.exit_code
    if arguments.json:
        _print_json(report)
    else:
        _print_report(report)
    return report.verdict.exit_code


def _submit(client: "DaqClient", arguments: argparse.Namespace) -> "Run":
    return client.write(
        arguments.output_file,
        n_images=arguments.n_images,
        start_image_id=arguments.start_image_id,
        compression=arguments.compression,
        images_per_file=arguments.images_per_file,
        n_files=arguments.n_files,
        conflict=arguments.conflict,
        first_image_timeout_s=arguments.first_image_timeout,
        image_timeout_s=arguments.image_timeout,
        user_metadata=dict(_parse_metadata(text) for text in arguments.metadata),
    )


def _parse_metadata(text: str) -> "tuple[str, HeaderValue]":
    """Read KEY=VALUE; a value that is a JSON number or boolean is one, everything else is text."""
    key, separator, value = text.partition("=")
    if not (key and separator):
        raise RequestRefusedError(f"--metadata '{text}' is not of the form KEY=VALUE")
    try:
        parsed = json.loads(value)
    except ValueError:
        return key, value
    return key, parsed if isinstance(parsed, int | float | bool) else value


def _print_json(report: "RunReport") -> None:
    print(json.dumps(report.model_dump(mode="json"), indent=2))


def _print_report(report: "RunReport") -> None:
    wanted = "" if report.n_requested is None else f" of {report.n_requested}"
    print(f"{report.verdict}: {report.reason}" if report.reason else str(report.verdict))
    if report.verdict == "refused":
        return
    print(
        f"images   {report.n_written}{wanted} written, {report.n_incomplete} of them incomplete, {report.n_lost} lost"
    )
    if report.lost_image_ids:
        from std_daq.recording.id_ranges import format_id_ranges

        text, n_left_out = format_id_ranges(report.lost_image_ids, 400)
        n_left_out += report.lost_image_ids_truncated
        print(f"lost     {text}{f' and {n_left_out} more' if n_left_out else ''}")
    for file in report.files:
        print(f"file     {file}")
    if report.files_truncated:
        print(f"         and {report.files_truncated} more files")
