"""Measure how many events and photons a server simulates in a second: isotropic light from one point."""

import argparse
import json
import sys
import time

from std_daq.cli.argument_types import positive_integer, positive_number
from std_daq.cli.shared_options import add_json_option
from std_daq.cli.sim_options import add_address_option, add_in_flight_option, open_client
from std_daq.number_arguments import finite_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_address_option(parser)
    add_in_flight_option(parser)
    add_json_option(parser)
    parser.add_argument("--events", type=positive_integer, default=100, metavar="N", help="by default %(default)s")
    parser.add_argument(
        "--photons", type=positive_integer, default=10_000, metavar="N", help="of each event; by default %(default)s"
    )
    parser.add_argument(
        "--wavelength", type=positive_number, default=420.0, metavar="NM", help="by default %(default)g"
    )
    parser.add_argument(
        "--position",
        type=finite_number,
        nargs=3,
        default=(0.0, 0.0, 0.0),
        metavar=("X", "Y", "Z"),
        help="in mm; by default 0",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure; returns the exit code."""
    from std_daq.photons.replies import Hits
    from std_daq.photons.sources import isotropic

    # A number that no run before had: the server knows its last replies.
    first = time.time_ns() // 1_000_000 % 2**31
    photons = isotropic(arguments.photons, wavelength=arguments.wavelength, position=arguments.position)
    events = [(first + number, photons) for number in range(arguments.events)]
    with open_client(arguments) as client:
        client.simulate(photons[:1], first - 1)
        started_s = time.perf_counter()
        replies = list(client.simulate_many(events, progress=sys.stderr.isatty() and not arguments.json))
        seconds = time.perf_counter() - started_s
    n_hits = sum(len(reply.hits) for reply in replies if isinstance(reply, Hits))
    n_photons = arguments.events * arguments.photons
    result = {
        "events": arguments.events,
        "photons": n_photons,
        "hits": n_hits,
        "seconds": seconds,
        "events_per_s": arguments.events / seconds,
        "photons_per_s": n_photons / seconds,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(
            f"{arguments.events} events of {arguments.photons} photons in {seconds:.2f} s: "
            f"{result['events_per_s']:.1f} events/s, {result['photons_per_s']:.3g} photons/s, {n_hits} hits"
        )
    return 0
