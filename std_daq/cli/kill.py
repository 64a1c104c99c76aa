"""Kill a running write request: the images taken so far are still written, and the verdict is killed.

Give the id of the request, or --current for the request that runs now.

The command ends with 0 once the writer agent has told the run to end, and with 1 if there was nothing to kill: the
request is not known, or its run had ended. A request that is not known, because its kill was faster, is killed when it
comes.

With --wait-s the exit code is that of the run: 4 if it was killed, or 0, 3 or 5 if it ended before the kill arrived.

With several --config, the requests of all these detectors are killed: give --current, or an id for each, in the order
of the configurations. All kills are sent, also if there is nothing to kill for one of them; the exit code is then 1.

While the broker takes no messages, because its disk or memory is full, no kill can be sent. The command says so at once
and ends with 1. With --wait-s it sends the kill when the broker takes messages again.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_number, request_id
from std_daq.cli.shared_options import add_broker_url_option, add_json_option
from std_daq.cli.starting import wait_for_services
from std_daq.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    ArgumentError,
    BrokerBlockedError,
    BrokerError,
    ResourceError,
)

if TYPE_CHECKING:
    from std_daq.client import DaqClient
    from std_daq.client.run import RequestedRun
    from std_daq.recording.requests import RunReport, StatusMessage

_POLL_S = 0.5
_ANSWER_TIMEOUT_S = 5.0
_STOP_THE_AGENT = "to end the run now, stop the writer agent: it keeps the images taken so far"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--config",
        required=True,
        action="append",
        type=Path,
        metavar="FILE",
        help="the configuration of any system, for example detector.json; several for a request to all of them",
    )
    add_broker_url_option(parser, "STD_DAQ_BROKER_URL, that of std-daq up, or that of the configuration")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "request_ids",
        nargs="*",
        type=request_id,
        default=[],
        metavar="REQUEST_ID",
        help="the id that std-daq write --detach printed; one for each --config",
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
    n_ids, n_configs = len(arguments.request_ids), len(arguments.config)
    if not arguments.current and n_ids != n_configs:
        remedy = "give one for each, in the same order, or --current"
        raise ArgumentError("REQUEST_ID", f"{n_ids} for {n_configs} --config", remedy=remedy)
    return _kill_one(arguments) if n_configs == 1 else _kill_together(arguments)


def _kill_one(arguments: argparse.Namespace) -> int:
    from std_daq.cli.run_report import print_run_report
    from std_daq.client import DaqClient
    from std_daq.config.system import system_of_config

    client = DaqClient(arguments.config[0], arguments.broker_url)
    wait_for_services(client.config, broker_url=arguments.broker_url, needs_broker=True)
    request = _current_request(client) if arguments.current else arguments.request_ids[0]
    with client.follow(request) as run:
        if arguments.wait_s is None:
            _tell_to_end(run)
            _hear(run)
            print(json.dumps({"request_id": request}) if arguments.json else request)
            return 0
        deadline = time.monotonic() + arguments.wait_s
        _send_kill(run, deadline)
        report = _verdict(run, deadline, arguments.wait_s)
    print_run_report(report, as_json=arguments.json, nouns=system_of_config(client.config).nouns)
    return report.verdict.exit_code


def _kill_together(arguments: argparse.Namespace) -> int:
    """Send a kill to each of several detectors; what one of them lacks keeps no other from its end."""
    from std_daq.cli.run_report import print_group_report
    from std_daq.client import DaqClient, RunReport
    from std_daq.client.run_group import GroupReport, clients_by_name
    from std_daq.config.system import system_of_config

    clients = clients_by_name([DaqClient(config, arguments.broker_url) for config in arguments.config])
    runs: dict[str, RequestedRun] = {}
    reports: dict[str, RunReport] = {}
    problems: dict[str, str] = {}
    deadline = time.monotonic() + (arguments.wait_s or 0.0)

    def each(work: Callable[[str], None], names: Iterable[str]) -> None:
        for name in names:
            try:
                work(name)
            except (ResourceError, BrokerError) as error:
                problems[name] = str(error)
                print(f"std-daq kill: {name}: {error}", file=sys.stderr, flush=True)

    def follow(name: str) -> None:
        wait_for_services(clients[name].config, broker_url=arguments.broker_url, needs_broker=True)
        request = _current_request(clients[name]) if arguments.current else ids[name]
        runs[name] = stack.enter_context(clients[name].follow(request))

    def send(name: str) -> None:
        _tell_to_end(runs[name]) if arguments.wait_s is None else _send_kill(runs[name], deadline)

    def hear(name: str) -> None:
        if arguments.wait_s is None:
            _hear(runs[name])
        else:
            reports[name] = _verdict(runs[name], deadline, arguments.wait_s)

    ids = {} if arguments.current else dict(zip(clients, arguments.request_ids, strict=True))
    with ExitStack() as stack:
        each(follow, clients)
        each(send, list(runs))
        each(hear, [name for name in runs if name not in problems])
    ended = {name: run.request_id for name, run in runs.items() if name not in problems}
    if arguments.wait_s is not None and reports:
        nouns = {name: system_of_config(client.config).nouns for name, client in clients.items()}
        report = GroupReport.of_reports(reports)
        print_group_report(report, as_json=arguments.json, nouns=nouns, problems=problems)
        return EXIT_FAILED if problems else report.verdict.exit_code
    if arguments.json:
        print(json.dumps({"detectors": ended, "problems": problems}))
    elif ended:
        print("\n".join(map(" ".join, ended.items())))
    return EXIT_FAILED if problems else EXIT_DONE


def _verdict(run: "RequestedRun", deadline: float, wait_s: float) -> "RunReport":
    """Return the report of a run that was told to end; raises ResourceError."""
    try:
        return run.wait(max(deadline - time.monotonic(), 0.0), on_progress=_check_known)
    except TimeoutError:
        raise ResourceError(
            f"no verdict for {run.request_id} within {wait_s:g} s: the run still writes, or no writer agent runs"
        ) from None


def _tell_to_end(run: "RequestedRun") -> None:
    try:
        run.kill()
    except BrokerBlockedError as error:
        raise BrokerBlockedError(f"{error}; --wait-s sends it when that ends; {_STOP_THE_AGENT}") from None


def _hear(run: "RequestedRun") -> None:
    """Hear from the agent that there was something to kill; raises ResourceError otherwise."""
    from std_daq.recording.requests import Verdict

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
