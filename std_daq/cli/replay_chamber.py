"""Sends GRAW and merged files through the exporters of a chamber."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from std_daq.cli.chamber_options import add_wait_options, chamber_of, print_report, refuse_options, send
from std_daq.errors import EXIT_DONE, EXIT_FAILED, ArgumentError

if TYPE_CHECKING:
    from std_daq.tpc.config import TpcConfig
    from std_daq.tpc.simulation.sending import FrameBurst

_MAX_NAMED = 10


def add_chamber_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that only a chamber has."""
    add_wait_options(parser.add_argument_group("of a chamber (tpc.json)"))


def replay_chamber(arguments: argparse.Namespace, config: "TpcConfig") -> int:
    """Send the files; returns the exit code."""
    from std_daq.cli.path_checks import check_input_file
    from std_daq.tpc.simulation.faults import FrameStream, StreamFaults
    from std_daq.tpc.simulation.replay import ReplayLedger, graw_bursts, is_merged_file, merged_bursts

    refuse_options(
        arguments,
        {"host": None, "interface": None, "hops": None},
        "a chamber",
        "its exporters are at the addresses of tpc.json",
    )
    for file in arguments.captures:
        check_input_file(file, "FILE")
    _, boards = chamber_of(config)
    kinds = {is_merged_file(file) for file in arguments.captures}
    if len(kinds) > 1:
        raise ArgumentError("FILE", "GRAW and merged files cannot be sent together", remedy="give files of one kind")
    ledger = ReplayLedger()
    bursts: Iterator[FrameBurst]
    if kinds == {True}:
        bursts = merged_bursts(arguments.captures, boards)
    else:
        bursts = graw_bursts(arguments.captures, ledger)
    stream = FrameStream(StreamFaults(), is_mixed=False)
    report, exit_code = send("replay", arguments, config, bursts, boards, stream)
    print_report("replay", report, {"n_damaged": len(ledger.damages)}, as_json=arguments.json)
    for damage in ledger.damages[:_MAX_NAMED]:
        print(f"std-daq replay: damaged, the rest was sent: {damage}", file=sys.stderr)
    if len(ledger.damages) > _MAX_NAMED:
        print(f"std-daq replay: {len(ledger.damages) - _MAX_NAMED} more places are damaged", file=sys.stderr)
    if not (report.n_events or ledger.damages or exit_code):
        print("std-daq replay: no event is in the files; nothing was sent", file=sys.stderr)
    return exit_code or (EXIT_FAILED if ledger.damages or not report.n_events else EXIT_DONE)
