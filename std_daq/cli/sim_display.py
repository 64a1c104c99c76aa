"""Draw the detector of a geometry file, and hits in it: two cuts, and the channels unrolled."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.errors import EXIT_DONE, ArgumentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("geometry", type=Path, metavar="GEOMETRY", help="the geometry file")
    parser.add_argument("--hits", type=Path, metavar="HITS.npz", help="hits, as std-sim run writes them")
    parser.add_argument("--event", type=int, metavar="ID", help="only the hits of this event")
    parser.add_argument(
        "--centre", type=float, nargs=3, default=[0.0, 0.0, 0.0], metavar=("X", "Y", "Z"),
        help="where the cuts go through, in mm; by default the origin",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FILE.png", help="the picture; by default beside the geometry, as .png"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw; returns the exit code."""
    from std_daq.cli.path_checks import check_input_file
    from std_daq.photons.display.picture import draw_detector
    from std_daq.photons.display.sections import channel_positions
    from std_daq.photons.geometry.load import read_geometry

    geometry = read_geometry(arguments.geometry)
    hits = None
    if arguments.hits is not None:
        check_input_file(arguments.hits, "--hits")
        hits = _hits_of_channels(arguments.hits, arguments.event, len(channel_positions(geometry)))
    elif arguments.event is not None:
        raise ArgumentError("--event", "it chooses among hits", value=arguments.event, remedy="give them with --hits")
    output: Path = arguments.output or arguments.geometry.with_suffix(".png")
    figure = draw_detector(geometry, folder=arguments.geometry.parent, centre=tuple(arguments.centre), hits=hits)
    figure.savefig(output, dpi=100)
    print(output)
    return EXIT_DONE


def _hits_of_channels(path: Path, event: int | None, n_channels: int) -> "NDArray[np.int64]":
    """Return how many hits each channel has."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            channels, events = file["channel"], file["event_id"]
    except (OSError, ValueError, KeyError) as error:
        raise ArgumentError("--hits", f"no file of hits: {error}", value=path) from error
    if event is not None:
        channels = channels[events == event]
    if len(channels) and channels.max() >= n_channels:
        raise ArgumentError("--hits", f"they are of another detector: channel {channels.max()}", value=path)
    return np.bincount(channels.astype(np.int64), minlength=n_channels)
