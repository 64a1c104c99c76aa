"""Simulate the photons of a file, and write the hits; the last line says how many there were.

PHOTONS.npz has one array for each field of a photon (x, y, z, dx, dy, dz, polx, poly, polz, wavelength, time, flags),
and event_id, which tells the event of each photon; or an array "photons" of such records. PHOTONS.root has a tree
"photons" with the same branches, a row for each event. The output is an npz file with event_id and the fields of a hit.
"""

import argparse
import sys
from pathlib import Path

from std_daq.cli.sim_options import add_address_option, add_in_flight_option, open_client
from std_daq.errors import ResourceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("photons", type=Path, metavar="PHOTONS")
    parser.add_argument("--output", type=Path, metavar="HITS.npz", help="by default PHOTONS.hits.npz beside the input")
    add_address_option(parser)
    add_in_flight_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Simulate; returns the exit code."""
    from std_daq.cli.path_checks import check_output_file
    from std_daq.photons.event_files import read_events, write_hits
    from std_daq.photons.replies import Hits

    output = arguments.output or arguments.photons.with_name(f"{arguments.photons.stem}.hits.npz")
    check_output_file(output, "--output", [arguments.photons], endings=[".npz"], in_place=True)
    events = read_events(arguments.photons)
    if not events:
        raise ResourceError(f"{arguments.photons}: no event is in the file; nothing was simulated")
    with open_client(arguments) as client:
        replies = list(client.simulate_many(events, progress=sys.stderr.isatty()))
    found = {reply.event_id: reply.hits for reply in replies if isinstance(reply, Hits)}
    if len(found) < len(replies):
        print(f"{len(replies) - len(found)} events: the server writes their hits to a file of its own")
    write_hits(output, [(event_id, found[event_id]) for event_id, _ in events if event_id in found])
    print(f"{output}: {len(found)} events, {sum(map(len, found.values()))} hits")
    return 0
