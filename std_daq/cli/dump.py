"""Record the UDP packets of a detector into a capture file for each port, until a limit or Ctrl-C."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_integer, positive_number
from std_daq.service.stop_event import StopEvent

if TYPE_CHECKING:
    from std_daq.packets.dump import Dump


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the detector.json")
    parser.add_argument("--output", required=True, type=Path, metavar="DIRECTORY", help="where the files go")
    parser.add_argument(
        "--n-packets", type=positive_integer, metavar="N", help="end after so many packets of all ports together"
    )
    parser.add_argument("--duration", type=positive_number, metavar="SECONDS", help="end after this time")
    parser.add_argument("--json", action="store_true", help="print what was received as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Record; returns 0, or 1 if the kernel dropped packets."""
    from std_daq.imaging.config.load import load_config
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.packets.dump import Dump

    config = load_config(arguments.config)
    n_ports = open_detector(config).n_ports
    stop = StopEvent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Dump(
        arguments.output,
        host=config.udp.address,
        ports=range(config.start_udp_port, config.start_udp_port + n_ports),
        max_packets=arguments.n_packets,
        duration_s=arguments.duration,
        progress=_show if sys.stderr.isatty() else None,
    ) as dump:
        dump.run(stop.is_set)
        counts = {"n_packets": dump.n_packets, "n_dropped": dump.n_dropped}
    if arguments.json:
        print(json.dumps(counts))
    else:
        print(f"{counts['n_packets']} packets recorded, {counts['n_dropped']} dropped by the kernel")
    return 1 if counts["n_dropped"] else 0


def _show(dump: "Dump") -> None:
    sys.stderr.write(f"\r{dump.n_packets} packets\033[K")
    sys.stderr.flush()
