"""Sends the frames of a simulated chamber through its exporters."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import natural_number, positive_integer, probability
from std_daq.cli.chamber_options import (
    OF_WAITING,
    add_wait_options,
    board_number,
    board_target,
    chamber_of,
    print_report,
    refuse_options,
    send,
)
from std_daq.cli.console import progress_line
from std_daq.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from std_daq.tpc.config import TpcConfig
    from std_daq.tpc.electronics import Board
    from std_daq.tpc.simulation.readout import Readout
    from std_daq.tpc.simulation.sending import FrameBurst
    from std_daq.tpc.simulation.truth import TruthWriter

# Options of images, with their defaults.
_OF_IMAGES: dict[str, object] = {
    "n_images": None, "host": None, "interface": None, "hops": None,
    "pattern": None, "loss": 0.0, "reorder": 0.0, "window": 32, "first_frame": 1, "first_pulse_id": 1, "ledger": None,
}  # fmt: skip
# Options of a chamber, with their defaults.
OF_CHAMBERS: dict[str, object] = {
    "n_events": None, "full": False, "n_made": None, "first_event": 0, "truth": None, "no_topology": False,
    "in_order": False, "lag": [], "dead": [], "reconnect": [], "garbage_sizes": 0.0, "zero_sizes": 0.0, **OF_WAITING,
}  # fmt: skip
_N_MADE, _N_MADE_FULL = 100, 20
_TIMES_RATE_HZ = 100.0


def add_chamber_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that only a chamber has."""
    group = parser.add_argument_group("of a chamber (tpc.json)")
    group.add_argument("--full", action="store_true", help="full readout; by default channels with a signal are sent")
    group.add_argument(
        "--n-made", type=positive_integer, metavar="N",
        help=f"different events, which come again and again; by default {_N_MADE}, {_N_MADE_FULL} with --full",
    )  # fmt: skip
    group.add_argument("--first-event", type=natural_number, default=0, metavar="ID", help="id of the first event")
    group.add_argument("--truth", type=Path, metavar="FILE", help="write the tracks of all events, as JSON")
    group.add_argument("--no-topology", action="store_true", help="send no topology frames at the start")
    group.add_argument("--in-order", action="store_true", help="boards and events in order, unlike real streams")
    group.add_argument(
        "--lag", type=board_number, action="append", default=[], metavar="BOARD=K",
        help="a CoBo (3) or board (3.1) that is K events late; may be given several times",
    )  # fmt: skip
    group.add_argument(
        "--dead", type=board_target, action="append", default=[], metavar="BOARD",
        help="a CoBo or board that sends nothing; may be given several times",
    )  # fmt: skip
    group.add_argument(
        "--reconnect", type=board_number, action="append", default=[], metavar="COBO=I",
        help="the exporter of this CoBo drops its clients before event I (from 0)",
    )  # fmt: skip
    group.add_argument(
        "--garbage-sizes", type=probability, default=0.0, metavar="P", help="probability that a size word is garbage"
    )
    group.add_argument(
        "--zero-sizes", type=probability, default=0.0, metavar="P", help="probability of a message of size 0"
    )
    add_wait_options(group)


def simulate_chamber(arguments: argparse.Namespace, config: "TpcConfig") -> int:
    """Send the frames; returns the exit code."""
    from std_daq.cli.path_checks import check_output_file
    from std_daq.tpc.simulation.chamber import SimulatedChamber
    from std_daq.tpc.simulation.faults import FrameStream, StreamFaults
    from std_daq.tpc.simulation.readout import Readout
    from std_daq.tpc.simulation.truth import TruthWriter

    refuse_options(arguments, _OF_IMAGES, "a chamber", "a chamber has --n-events and the options of its own")
    if arguments.truth is not None:
        check_output_file(arguments.truth, "--truth", [arguments.config], in_place=True)
    plane, boards = chamber_of(config)
    if not boards:
        raise ArgumentError(
            "--config", "names no boards, so nothing can be simulated", value=arguments.config,
            remedy="give pads.electronics, or list the boards",
        )  # fmt: skip
    _check_targets(arguments, boards)
    chamber = SimulatedChamber(plane, boards, config.analysis.detector, is_full=arguments.full, seed=arguments.seed)
    n_made = min(arguments.n_made or (_N_MADE_FULL if arguments.full else _N_MADE), arguments.n_events)
    readout = Readout(
        chamber,
        n_made=n_made,
        rate_hz=arguments.rate_hz or _TIMES_RATE_HZ,
        is_full=arguments.full,
        first_id=arguments.first_event,
        restart_at=arguments.restart_at,
        seed=arguments.seed,
    )
    line = progress_line()
    for n in readout.make():
        line.show(f"making events: {n} of {n_made}")
    line.clear()
    faults = StreamFaults(
        lags=dict(arguments.lag),
        dead=frozenset(arguments.dead),
        duplicate=arguments.duplicate,
        garbage_size=arguments.garbage_sizes,
        zero_size=arguments.zero_sizes,
    )
    stream = FrameStream(faults, arguments.seed, is_mixed=not arguments.in_order)
    truth = None if arguments.truth is None else TruthWriter(arguments.seed)
    bursts = _bursts(readout, arguments, boards, truth)
    reconnect = {cobo: event for (cobo, _), event in arguments.reconnect}
    report, exit_code = send("simulate", arguments, config, bursts, boards, stream, reconnect=reconnect)
    if truth is not None:
        truth.write(arguments.truth)
    ledger = stream.ledger
    more = {
        "n_duplicates": ledger.n_duplicates,
        "n_garbage_sizes": ledger.n_garbage_sizes,
        "n_zero_sizes": ledger.n_zero_sizes,
        "n_not_sent": ledger.n_not_sent,
    }
    print_report("simulate", report, more, as_json=arguments.json)
    return exit_code


def _check_targets(arguments: argparse.Namespace, boards: "Sequence[Board]") -> None:
    """Raise ArgumentError if a fault is asked of a CoBo or board that the chamber does not have."""
    asked = {
        "--lag": [target for target, _ in arguments.lag],
        "--dead": arguments.dead,
        "--reconnect": [target for target, _ in arguments.reconnect],
    }
    for option, targets in asked.items():
        for cobo, asad in targets:
            if not any(cobo == board[0] and asad in {None, board[1]} for board in boards):
                given = f"{cobo}" if asad is None else f"{cobo}.{asad}"
                known = ", ".join(f"{cobo}.{asad}" for cobo, asad in boards[:4]) + (", ..." if len(boards) > 4 else "")
                raise ArgumentError(option, "the chamber has no such board", value=given, remedy=f"it has {known}")


def _bursts(
    readout: "Readout", arguments: argparse.Namespace, boards: tuple[tuple[int, int], ...], truth: "TruthWriter | None"
) -> "Iterator[FrameBurst]":
    from std_daq.tpc.frames.encode import encode_topology
    from std_daq.tpc.simulation.sending import FrameBurst

    if not arguments.no_topology:
        cobos = sorted({cobo for cobo, _ in boards})
        announced = [(one, encode_topology(one, [asad for cobo, asad in boards if cobo == one])) for one in cobos]
        yield FrameBurst((), announced, is_event=False)
    for index in range(arguments.n_events):
        event = readout.event(index)
        epoch = int(arguments.restart_at is not None and 0 < arguments.restart_at <= index)
        if truth is not None:
            truth.add(event.event_id, epoch, event.event_time, event.tracks)
        yield FrameBurst(event.frames)
