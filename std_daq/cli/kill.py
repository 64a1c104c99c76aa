"""Kill a running write request: the images taken so far are still written, and the verdict is killed.

Give the id of the request, or --current for the request that runs now.

The command ends with 0 once the writer agent has told the run to end, and with 1 if there was nothing to kill: the
request is not known, or its run had ended. A request that is not known, because its kill was faster, is killed when it
comes.

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
    from std_daq.recording.requests import StatusMessage

_POLL_S = 0.5
_ANSWER_TIMEOUT_S = 5.0
_STOP_THE_AGENT = "to end the run now, stop the writer agent: it keeps the images taken so far"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_option(parser)
    add_broker_url_option(parser, "STD_DAQ_BROKER_URL, that of std-daq up, or that of the configuration")
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
        "--wait-s",
        type=positive_number,
        metavar="SECONDS",
        help="wait for the verdict, at most this long; by default it does not wait",
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
    with client.follow(request) as run:
        if arguments.wait_s is None:
            _kill(run)
            print(json.dumps({"request_id": request}) if arguments.json else request)
            return 0
        deadline = time.monotonic() + arguments.wait_s
        _send_kill(run, deadline)
        try:
            report = run.wait(max(deadline - time.monotonic(), 0.0), on_progress=_check_known)
        except TimeoutError:
            raise ResourceError(
                f"no verdict for {run.request_id} within {arguments.wait_s:g} s: the run still writes, or no writer "
                "agent runs"
            ) from None
    print_run_report(report, as_json=arguments.json, nouns=system_of_config(client.config).nouns)
    return report.verdict.exit_code


def _kill(run: "RequestedRun") -> None:
    """Send the kill, and hear from the agent that there was something to kill; raises ResourceError otherwise."""
    from std_daq.recording.requests import Verdict

    try:
        run.kill()
    except BrokerBlockedError as error:
        raise BrokerBlockedError(f"{error}; --wait-s sends it when that ends; {_STOP_THE_AGENT}") from None
    answer = run.poll(_ANSWER_TIMEOUT_S)
    if answer is None:
        text = f"the kill is sent; the writer agent has not answered within {_ANSWER_TIMEOUT_S:g} s, and may be away"
        print(f"std-daq kill: {text}", file=sys.stderr, flush=True)
        return
    _check_known(answer)
    if run.report is not None and run.report.verdict is not Verdict.KILLED:
        raise ResourceError(f"request {run.request_id} had ended before, as {answer.message}; nothing was killed")


def _check_known(status: "StatusMessage") -> None:
    """Raise ResourceError if the agent answers that it does not know the request."""
    from std_daq.recording.requests import Action

    if status.action is Action.UNKNOWN:
        raise ResourceError(f"request {status.request_id} is not killed: {status.message}")


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
