"""Receive, analyse and show the events of a chamber: exporters -> events -> analysis -> Rerun.

Start a viewer first, or later: rerun --port 9876. The command ends with Ctrl-C.

This file is the command run-conduit, and what gen-conduit-script writes for you to edit and run: python SCRIPT.py
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from std_daq.cli.argument_types import port_number
from std_daq.cli.chamber_services import run_chamber
from std_daq.errors import StdDaqError, exit_code_of
from std_daq.number_arguments import integer

# The chamber that is run without --config: what a tpc.json may hold, with absolute paths. Edit it.
CHAMBER = {
    "detector_name": "attpc",
    "detector_type": "get-tpc",
    # One computer for each of the eleven CoBos.
    "exporters": [f"192.168.41.{60 + cobo}:46491" for cobo in range(11)],
    # The pad plane of the installed attpc_spyral; or {"electronics": "/path/map.csv", "geometry": "attpc", ...}.
    "pads": "attpc_spyral",
    # Parameters of the analysis that differ from the defaults, such as {"detector": {"magnetic_field": 2.85}}. A phase
    # of your own is a function in a file: {"phases": ["cloud", {"file": "/path/mine.py", "function": "my_phase"},
    # "clusters", "estimates"]}.
    "analysis": {},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chamber, and return the exit code."""
    parser = argparse.ArgumentParser(
        description="Receive, analyse and show the events of a chamber.", allow_abbrev=False
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="a tpc.json; by default the AT-TPC")
    parser.add_argument("--viewer-ip", default="localhost", metavar="HOST", help="default %(default)s")
    parser.add_argument("--viewer-port", type=port_number, default=9876, metavar="PORT", help="default %(default)s")
    parser.add_argument("--event-cache-size", type=integer, metavar="N", help="taken, and means nothing")
    parser.add_argument("--n-threads", type=integer, metavar="N", help="taken, and means nothing")
    arguments = parser.parse_args(argv)
    try:
        return run_chamber(arguments.config or CHAMBER, viewer=f"{arguments.viewer_ip}:{arguments.viewer_port}")
    except StdDaqError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return exit_code_of(error)


if __name__ == "__main__":
    sys.exit(main())
