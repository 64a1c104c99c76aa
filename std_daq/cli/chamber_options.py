"""Options of `simulate` and `replay` for a chamber, and what both do: send through exporters, and report."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import natural_number, non_negative_number, positive_integer
from std_daq.cli.console import progress_line
from std_daq.cli.starting import wait_for_run
from std_daq.errors import EXIT_DONE, EXIT_FAILED, ArgumentError

if TYPE_CHECKING:
    from std_daq.tpc.config import TpcConfig
    from std_daq.tpc.electronics import Board
    from std_daq.tpc.pads.plane import PadPlane
    from std_daq.tpc.simulation.faults import FrameStream
    from std_daq.tpc.simulation.sending import FrameBurst, SendingReport

_REPORT_PERIOD_S = 0.5
_FINISH_S = 10.0
_BEHIND_S = 0.1


# Options of waiting, as attributes, with their defaults.
OF_WAITING: dict[str, object] = {"wait_s": 10.0, "n_clients": 1}


def add_wait_options(parser: argparse._ArgumentGroup) -> None:
    """Declare ``--wait-s`` and ``--n-clients``."""
    parser.add_argument(
        "--n-clients",
        type=positive_integer,
        default=1,
        metavar="N",
        help="clients that each exporter waits for before it sends; by default %(default)s",
    )
    parser.add_argument(
        "--wait-s",
        type=non_negative_number,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait until each exporter has its clients; by default %(default)s",
    )


def board_number(text: str) -> tuple[tuple[int, int | None], int]:
    """Convert COBO=NUMBER or COBO.ASAD=NUMBER."""
    target, separator, number = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"'{text}' is not COBO=NUMBER or COBO.ASAD=NUMBER, for example 3=5")
    return board_target(target), natural_number(number)


def board_target(text: str) -> tuple[int, int | None]:
    """Convert COBO or COBO.ASAD."""
    cobo, separator, asad = text.partition(".")
    if not (cobo.isdecimal() and (asad.isdecimal() or not separator)):
        raise argparse.ArgumentTypeError(f"'{text}' is not COBO or COBO.ASAD, for example 3 or 3.1")
    return int(cobo), int(asad) if separator else None


def refuse_options(arguments: argparse.Namespace, defaults: Mapping[str, object], system: str, wanted: str) -> None:
    """Refuse options that have no meaning for the system of a configuration.

    Parameters
    ----------
    defaults
        Name of each such option, as an attribute, with its default.
    """
    for name, default in defaults.items():
        value = getattr(arguments, name)
        if value != default:
            option = f"--{name.replace('_', '-')}"
            raise ArgumentError(option, f"has no meaning for {system}", value=value, remedy=wanted)


def chamber_of(config: "TpcConfig") -> tuple["PadPlane", tuple["Board", ...]]:
    """Return the pad plane and the boards that are known; none if topology frames announce them and there is no map."""
    from std_daq.tpc.boards import expected_boards
    from std_daq.tpc.pads.load import load_pads

    plane = load_pads(config.pads)
    return plane, tuple(sorted(expected_boards(config.boards, plane) or plane.boards))


def send(
    command: str,
    arguments: argparse.Namespace,
    config: "TpcConfig",
    bursts: Iterator["FrameBurst"],
    boards: Sequence["Board"],
    stream: "FrameStream",
    *,
    reconnect: Mapping[int, int] | None = None,
) -> tuple["SendingReport", int]:
    """Send bursts through the exporters of a configuration; returns what was sent, and the exit code."""
    from std_daq.cli.interrupt import StopSignals
    from std_daq.tpc.simulation.exporters import ExporterSet
    from std_daq.tpc.simulation.sending import CoboRouting, Sending

    if arguments.when_requested:
        wait_for_run(config)
    stop, line = StopSignals(), progress_line()
    routing = CoboRouting(boards, len(config.exporters))
    with ExporterSet(config.exporters) as exporters:
        sending = Sending(
            bursts, exporters, routing, stream, rate_hz=arguments.rate_hz, reconnect=dict(reconnect or {})
        )
        if not sending.wait_for_clients(arguments.wait_s, stop.event, arguments.n_clients):
            for one in exporters.exporters:
                if one.n_clients < arguments.n_clients:
                    _remark(command, f"{one.n_clients} of {arguments.n_clients} clients are connected to {one.address}")
        next_s = 0.0
        while not stop.event.is_set() and sending.step(stop.event):
            if time.monotonic() >= next_s:
                line.show(f"{sending.report.n_events} events, {sending.report.n_bytes / 1e9:.2f} GB")
                next_s = time.monotonic() + _REPORT_PERIOD_S
        sending.finish(_FINISH_S, stop.event)
    line.end()
    is_lost = sending.report.is_unfinished or sending.report.is_unheard
    return sending.report, stop.exit_code or (EXIT_FAILED if is_lost else EXIT_DONE)


def print_report(command: str, report: "SendingReport", more: Mapping[str, int], *, as_json: bool) -> None:
    """Print what was sent."""
    counts = {"n_events": report.n_events, "n_frames": report.n_frames, "n_bytes": report.n_bytes, **more}
    if as_json:
        print(json.dumps({**counts, "behind_s": round(report.behind_s, 3)}))
    else:
        print(", ".join(f"{value} {name.removeprefix('n_').replace('_', ' ')}" for name, value in counts.items()))
    if report.behind_s > _BEHIND_S:
        _remark(command, f"the rate was not reached: {report.behind_s:.1f} s behind")
    if report.n_given_up:
        _remark(command, f"{report.n_given_up} clients read too slowly and were given up")
    if report.is_unheard:
        _remark(command, "no client took any of it: start the services before, or give more time with --wait-s")
    if report.is_unfinished:
        _remark(command, "a client has not taken all frames; the rest is lost")


def _remark(command: str, text: str) -> None:
    print(f"std-daq {command}: {text}", file=sys.stderr)
