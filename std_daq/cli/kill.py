"""Kill a running write request: the images taken so far are still written, and the verdict is killed.

Give the id of the request, or --current for the request that runs now.

With --wait-s the exit code is that of the run: 4 if it was killed, or 0, 3 or 5 if it ended before the kill arrived.

While the broker takes no messages, because its disk or memory is full, no kill can be sent. The command says so at once
and ends with 1. With --wait-s it sends the kill when the broker takes messages again.
"""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_number, request_id
from std_daq.cli.shared_options import add_broker_url_option, add_config_option, add_json_option
from std_daq.cli.starting import wait_for_services
from std_daq.errors import BrokerBlockedError, ResourceError

if TYPE_CHECKING:
    from std_daq.client import DaqClient
    from std_daq.client.run import RequestedRun

_POLL_S = 0.5
_STOP_THE_AGENT = "to end the run now, stop the writer agent: it keeps the images taken so far"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_option(parser)
    add_broker_url_option(parser, "that of std-daq up or of the configuration")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "request_id",
        nargs="?",
        type=request_id,
        metavar="REQUEST_ID",
        help="the id that std-daq write --detach printed",
    )
    which.add_argument("--current", action="store_true", help="the request that runs now")
    parser.add_argument(
        "--wait-s", type=positive_number, metavar="SECONDS", help="wait for the verdict, at most this long"
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send the kill; returns the exit code."""
    from std_daq.cli.run_report import print_run_report
    from std_daq.client import DaqClient
    from std_daq.config.system import system_of_config

    client = DaqClient(arguments.config, arguments.broker_url)
    wait_for_services(client.config, broker_url=arguments.broker_url, needs_broker=True)
    request = _current_request(client) if arguments.current else arguments.request_id
    if arguments.wait_s is None:
        try:
            client.kill(request)
        except BrokerBlockedError as error:
            raise BrokerBlockedError(f"{error}; --wait-s sends it when that ends; {_STOP_THE_AGENT}") from None
        print(json.dumps({"request_id": request}) if arguments.json else request)
        return 0
    with client.follow(request) as run:
        deadline = time.monotonic() + arguments.wait_s
        _send_kill(run, deadline)
        try:
            report = run.wait(max(deadline - time.monotonic(), 0.0))
        except TimeoutError:
            raise ResourceError(
                f"no verdict for {run.request_id} within {arguments.wait_s:g} s: "
                "the run may have ended before, or the writer agent is not running"
            ) from None
    print_run_report(report, as_json=arguments.json, nouns=system_of_config(client.config).nouns)
    return report.verdict.exit_code


def _send_kill(run: "RequestedRun", deadline: float) -> None:
    """Send the kill; if the broker takes no messages now, say so and try again, until the deadline or the run's end."""
    is_told = False
    while run.report is None:
        try:
            run.kill()
        except BrokerBlockedError as error:
            if time.monotonic() > deadline:
                raise
            if not is_told:
                is_told = True
                text = f"std-daq kill: {error}; the kill is sent when that ends; {_STOP_THE_AGENT}"
                print(text, file=sys.stderr, flush=True)
            run.poll(_POLL_S)
        else:
            return


def _current_request(client: "DaqClient") -> str:
    status = client.status()
    if status.run.request_id:
        return status.run.request_id
    state = f"the writer agent is {status.run.state}" if status.run.state else "no writer agent answers"
    raise ResourceError(f"no request runs for {status.detector_name} now: {state}")
