"""Kill a running write request: the images taken so far are still written, and the verdict is killed.

Give the id of the request, or --current for the request that runs now.

With --wait-s the exit code is that of the run: 4 if it was killed, or 0, 3 or 5 if it ended before the kill arrived.
"""

import argparse
import json
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_number
from std_daq.cli.shared_options import add_broker_url_option, add_config_option, add_json_option
from std_daq.errors import ResourceError

if TYPE_CHECKING:
    from std_daq.client import DaqClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_option(parser)
    add_broker_url_option(parser, "that of std-daq up or of the configuration")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("request_id", nargs="?", metavar="REQUEST_ID", help="the id that std-daq write --detach printed")
    which.add_argument("--current", action="store_true", help="the request that runs now")
    parser.add_argument(
        "--wait-s", type=positive_number, metavar="SECONDS", help="wait for the verdict, at most this long"
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send the kill; returns the exit code."""
    from std_daq.cli.run_report import print_run_report
    from std_daq.client import DaqClient

    client = DaqClient(arguments.config, arguments.broker_url)
    request_id = _current_request(client) if arguments.current else arguments.request_id
    if arguments.wait_s is None:
        client.kill(request_id)
        print(json.dumps({"request_id": request_id}) if arguments.json else request_id)
        return 0
    with client.follow(request_id) as run:
        run.kill()
        try:
            report = run.wait(arguments.wait_s)
        except TimeoutError:
            raise ResourceError(
                f"no verdict for {run.request_id} within {arguments.wait_s:g} s: "
                "the run may have ended before, or the writer agent is not running"
            ) from None
    print_run_report(report, as_json=arguments.json)
    return report.verdict.exit_code


def _current_request(client: "DaqClient") -> str:
    status = client.status()
    if status.run.request_id:
        return status.run.request_id
    state = f"the writer agent is {status.run.state}" if status.run.state else "no writer agent answers"
    raise ResourceError(f"no request runs for {status.detector_name} now: {state}")
