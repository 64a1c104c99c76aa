"""Simulate a GNSS timing receiver, a ZED-F9T, behind a pseudo-terminal: for whoever has none.

For example std-daq simulate-f9t /tmp/f9t; then /tmp/f9t is the device of an f9t_config.json5. It sends what it is
configured to; with --replay the messages of a recording, round and round.
"""

import argparse
import base64
import json
import re
from pathlib import Path

from std_daq.errors import EXIT_DONE, ArgumentError, ConfigError

_UID = re.compile(r"[0-9A-Fa-f]{10}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("link", type=Path, metavar="LINK", help="where programs find it; the link is made")
    parser.add_argument(
        "--uid", default="DF03A241BC", help="its identity, 10 hexadecimal digits; by default %(default)s"
    )
    parser.add_argument(
        "--replay", type=Path, metavar="JSONL", help='recorded messages, a line each: {"identity", "payload_b64"}'
    )


def run(arguments: argparse.Namespace) -> int:
    """Answer until a signal comes; returns the exit code."""
    from std_daq.cli.interrupt import StopSignals
    from std_daq.cli.path_checks import check_link
    from std_daq.telescope.ubx.simulated_chip import SimulatedF9t
    from std_daq.telescope.ubx.simulated_device import SimulatedDevice

    if not _UID.fullmatch(arguments.uid):
        raise ArgumentError("--uid", f"{arguments.uid!r} is not 10 hexadecimal digits")
    check_link(arguments.link, "LINK")
    recorded = [] if arguments.replay is None else _read(arguments.replay)
    stop = StopSignals()
    with SimulatedDevice(SimulatedF9t(arguments.uid, recorded=recorded), arguments.link) as device:
        print(f"a ZED-F9T with the UID {arguments.uid.upper()} is at {arguments.link}", flush=True)
        while not stop.event.is_set():
            device.step()
    return EXIT_DONE


def _read(path: Path) -> list[bytes]:
    from std_daq.cli.path_checks import check_input_file
    from std_daq.config.wrong_input import fault_in_words

    check_input_file(path, "--replay")
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(fault_in_words(error), file=path) from None
    recorded = []
    for number, line in enumerate(lines, 1):
        try:
            recorded.append(base64.b64decode(json.loads(line)["payload_b64"], validate=True))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ConfigError(f"line {number} has no payload_b64", file=path) from None
    if not recorded:
        raise ConfigError(
            "has no messages", file=path, remedy='give a file with a line {"identity", "payload_b64"} for each'
        )
    return recorded
