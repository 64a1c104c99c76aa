"""Tell the view of a chamber, std-event-view, to begin its histograms again, or which waveforms to show."""

import argparse
from pathlib import Path

from std_daq.cli.argument_types import natural_number
from std_daq.cli.starting import wait_for_services
from std_daq.errors import EXIT_DONE, ArgumentError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the tpc.json of the chamber")
    parser.add_argument("--reset", action="store_true", help="begin the histograms again from 0")
    parser.add_argument(
        "--pads", type=natural_number, nargs="*", metavar="N",
        help="show the waveforms of these pads; without numbers, of the pad with the largest amplitude",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Send the command; returns the exit code."""
    from std_daq.tpc.config import load_tpc_config
    from std_daq.tpc.view.commands import ViewCommand, send_command

    if not arguments.reset and arguments.pads is None:
        raise ArgumentError("--reset", "there is nothing to do", remedy="give --reset or --pads")
    pads = None if arguments.pads is None else tuple(arguments.pads)
    config = load_tpc_config(arguments.config)
    wait_for_services(config)
    send_command(config, ViewCommand(reset=arguments.reset, pads=pads))
    return EXIT_DONE
