"""Write images, or events, to a file, and wait for the verdict.

The exit code tells the verdict: 0 complete, 3 incomplete, 4 killed, 5 failed, 6 refused. It is 1 if the request could
not be sent, and 2 if the request is invalid. The first Ctrl-C kills the run and waits for its verdict. A second Ctrl-C
leaves at once.

With several --config, all these detectors write, each to a file of its own: {detector} in --output-file stands for its
name. The one verdict is the worst, and names the detector. Ctrl-C kills all; if one refuses, the others are killed.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from std_daq.cli.argument_types import (
    metadata_item,
    natural_number,
    output_path,
    positive_integer,
    positive_number,
    user,
)
from std_daq.cli.experiment_options import add_experiment_options, experiment_of
from std_daq.cli.shared_options import add_broker_url_option, add_json_option
from std_daq.cli.starting import wait_for_services
from std_daq.errors import StdDaqError, exit_code_of

if TYPE_CHECKING:
    from std_daq.client import DaqClient, RequestedRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--config",
        required=True,
        action="append",
        type=Path,
        metavar="FILE",
        help="the configuration of any system, for example detector.json; several for one request to all of them",
    )
    add_broker_url_option(parser, "STD_DAQ_BROKER_URL, that of std-daq up, or that of the configuration")
    parser.add_argument(
        "--output-file",
        "--output",
        required=True,
        type=output_path,
        metavar="PATH",
        help="the image file, master file or merged file",
    )
    parser.add_argument(
        "--n-images",
        "--n-events",
        type=positive_integer,
        metavar="N",
        help="number of images or events; by default until killed",
    )
    parser.add_argument(
        "--start-image-id",
        "--start-event-id",
        type=natural_number,
        metavar="ID",
        help="first image or event, which may lie in the past; by default the next one",
    )
    parser.add_argument(
        "--format",
        choices=("hdf5", "pff", "graw", "hdf5+graw"),
        default="hdf5",
        help="pff is for telescopes, graw for raw frames of chambers; by default %(default)s",
    )
    parser.add_argument(
        "--layout", choices=("1.0", "2.0"), help="layout of the merged file of a chamber; by default 1.0"
    )
    parser.add_argument(
        "--compression", choices=("none", "bslz4", "bszstd"), default="none", help="by default %(default)s"
    )
    parser.add_argument(
        "--compression-level", type=positive_integer, metavar="N", help="level of bszstd, 1 to 19; by default 1"
    )
    files = parser.add_mutually_exclusive_group()
    files.add_argument(
        "--images-per-file", type=positive_integer, metavar="N", help="start a new data file after each N images"
    )
    files.add_argument("--n-files", type=positive_integer, metavar="N", help="distribute the images over N data files")
    parser.add_argument(
        "--conflict",
        choices=("refuse", "rename"),
        default="refuse",
        help="what to do if the file exists; by default %(default)s",
    )
    parser.add_argument(
        "--metadata",
        action="append",
        type=metadata_item,
        default=[],
        metavar="KEY=VALUE",
        help="a value of your own to store in the file; may be repeated",
    )
    parser.add_argument(
        "--user",
        type=user,
        metavar="USER",
        help="user to whom the files belong, by name or number; by default as configured",
    )
    add_experiment_options(parser)
    for option in ("--first-image-timeout", "--image-timeout"):
        parser.add_argument(
            f"{option}-s", option, type=positive_number, metavar="SECONDS", help="by default as configured"
        )
    parser.add_argument("--detach", action="store_true", help="print the request id and do not wait")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send the request and wait; returns the exit code."""
    from std_daq.cli.interrupt import FirstInterrupt, sigterm_raises
    from std_daq.cli.progress import RunProgress
    from std_daq.cli.run_report import print_run_report
    from std_daq.client import DaqClient, RunReport, Verdict
    from std_daq.config.system import system_of_config

    if len(arguments.config) > 1:
        return _write_together(arguments)
    request_id = ""
    try:
        client = DaqClient(arguments.config[0], arguments.broker_url)
        wait_for_services(client.config, broker_url=arguments.broker_url, needs_broker=True)
        with FirstInterrupt() as interrupt, _submit(client, arguments) as run:
            request_id = run.request_id
            if arguments.detach:
                print(json.dumps({"request_id": request_id}) if arguments.json else request_id)
                return 0
            with sigterm_raises(), RunProgress(run, arguments.output_file.absolute(), arguments.n_images) as progress:
                report = progress.follow(lambda: interrupt.has_come)
    except StdDaqError as error:
        if not arguments.json:
            raise
        print(f"std-daq write: {error}", file=sys.stderr)
        print_run_report(RunReport(request_id=request_id, verdict=Verdict.FAILED, reason=str(error)), as_json=True)
        return exit_code_of(error)
    print_run_report(report, as_json=arguments.json, nouns=system_of_config(client.config).nouns)
    return report.verdict.exit_code


def _write_together(arguments: argparse.Namespace) -> int:
    """Send a request to each of several detectors, and wait for their one verdict."""
    from std_daq.cli.group_progress import GroupProgress
    from std_daq.cli.interrupt import FirstInterrupt, sigterm_raises
    from std_daq.cli.run_report import print_group_report
    from std_daq.client import DaqClient
    from std_daq.client.run_group import write_together
    from std_daq.config.system import system_of_config

    try:
        clients = [DaqClient(config, arguments.broker_url) for config in arguments.config]
        for client in clients:
            wait_for_services(client.config, broker_url=arguments.broker_url, needs_broker=True)
        with (
            FirstInterrupt() as interrupt,
            write_together(clients, arguments.output_file, **_fields(arguments)) as group,
        ):
            ids = {name: run.request_id for name, run in group.runs.items()}
            if arguments.detach:
                print(json.dumps({"detectors": ids}) if arguments.json else "\n".join(map(" ".join, ids.items())))
                return 0
            with sigterm_raises(), GroupProgress(group, arguments.n_images) as progress:
                report = progress.follow(lambda: interrupt.has_come)
    except StdDaqError as error:
        if not arguments.json:
            raise
        print(f"std-daq write: {error}", file=sys.stderr)
        print(json.dumps({"verdict": "failed", "reason": str(error), "detectors": {}}, indent=2))
        return exit_code_of(error)
    nouns = {client.config.name: system_of_config(client.config).nouns for client in clients}
    print_group_report(report, as_json=arguments.json, nouns=nouns)
    return report.verdict.exit_code


def _submit(client: "DaqClient", arguments: argparse.Namespace) -> "RequestedRun":
    return client.write(arguments.output_file, **_fields(arguments))


def _fields(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of the request, but for the file."""
    return {
        "n_images": arguments.n_images,
        "start_image_id": arguments.start_image_id,
        "format": arguments.format,
        "layout": arguments.layout,
        "compression": arguments.compression,
        "compression_level": arguments.compression_level,
        "images_per_file": arguments.images_per_file,
        "n_files": arguments.n_files,
        "conflict": arguments.conflict,
        "first_image_timeout_s": arguments.first_image_timeout_s,
        "image_timeout_s": arguments.image_timeout_s,
        "user": arguments.user,
        "experiment": experiment_of(arguments),
        "user_metadata": dict(arguments.metadata),
    }
