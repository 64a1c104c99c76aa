"""End a running write request: what has been taken is still written, and the run ends as killed.

With --wait the exit code is that of the run: 4 killed, or 0, 3 or 5 if it ended otherwise meanwhile.
"""

import argparse
import json
from pathlib import Path

from std_daq.errors import ResourceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the detector.json")
    parser.add_argument("--broker-url", metavar="URL", help="by default that of std-daq up or of the configuration")
    parser.add_argument("request_id", metavar="REQUEST_ID", help="as std-daq write --detach prints it")
    parser.add_argument("--wait", type=float, metavar="SECONDS", help="wait at most so long for the verdict")


def run(arguments: argparse.Namespace) -> int:
    """Send the kill; returns the exit code."""
    from std_daq.client import DaqClient

    client = DaqClient(arguments.config, arguments.broker_url)
    if arguments.wait is None:
        client.kill(arguments.request_id)
        return 0
    with client.follow(arguments.request_id) as run:
        run.kill()
        try:
            report = run.wait(arguments.wait)
        except TimeoutError:
            raise ResourceError(
                f"no verdict of {run.request_id} within {arguments.wait:g} s: it may have ended before, or the writer "
                "agent is not running"
            ) from None
    print(json.dumps(report.model_dump(mode="json"), indent=2))
    return report.verdict.exit_code
