"""Draw the detector of a geometry file, hits in it, and the ways of photons.

The name of the output says what is drawn: .png a picture with two cuts and the channels unrolled, .html the channels
unrolled as a page for any browser, .rrd a recording in three dimensions, which `rerun FILE.rrd` opens. --viewer sends
the same recording to a viewer, --browser serves it. With one event, a second timeline shows the light arriving.
"""

import argparse
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.sim_options import seed_number
from std_daq.errors import EXIT_DONE, ArgumentError, ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from std_daq.photons.display.photon_paths import PhotonPaths
    from std_daq.photons.display.shown_hits import ShownHits
    from std_daq.photons.geometry.file import GeometryFile
    from std_daq.view3d.drawing import Drawing
    from std_daq.view3d.viewer_address import ViewerAddress

_SUFFIXES = (".png", ".html", ".rrd")
_N_PATHS = 20
_SENDING_S = 60.0
_LOOK_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from std_daq.cli.argument_types import natural_number, port_number
    from std_daq.number_arguments import finite_number, integer
    from std_daq.view3d.viewer_address import DEFAULT_BROWSER_PORT

    parser.add_argument("geometry", type=Path, metavar="GEOMETRY", help="the geometry file")
    parser.add_argument("--hits", type=Path, metavar="HITS.npz", help="hits, as std-sim run writes them")
    parser.add_argument("--event", type=integer, metavar="ID", help="only this event")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--output", type=Path, metavar="FILE",
        help="FILE.png, FILE.html or FILE.rrd; by default beside the geometry, as .png",
    )  # fmt: skip
    where.add_argument("--viewer", type=_viewer, metavar="HOST:PORT", help="draw in this Rerun viewer")
    where.add_argument(
        "--browser", type=port_number, nargs="?", const=DEFAULT_BROWSER_PORT, metavar="PORT",
        help="serve Rerun's viewer for browsers on this machine until Ctrl-C; by default on port %(const)s",
    )  # fmt: skip
    parser.add_argument(
        "--centre", type=finite_number, nargs=3, default=[0.0, 0.0, 0.0], metavar=("X", "Y", "Z"),
        help="of a .png: where the cuts go through, in mm; by default the origin",
    )  # fmt: skip
    parser.add_argument(
        "--photons", type=Path, metavar="PHOTONS",
        help="in three dimensions: also the ways of photons of this file, as std-sim run takes it",
    )  # fmt: skip
    parser.add_argument(
        "--trace", type=natural_number, nargs="+", metavar="N",
        help=f"which photons of the event; by default the first {_N_PATHS}",
    )  # fmt: skip
    parser.add_argument(
        "--worker-seed", type=seed_number, default=0, metavar="N",
        help="the --seed of the workers, for the same ways; by default %(default)s",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Draw; returns the exit code."""
    from std_daq.cli.path_checks import check_output_file
    from std_daq.photons.geometry.load import read_geometry
    from std_daq.photons.geometry.scene import channels_of

    output: Path = arguments.output or arguments.geometry.with_suffix(".png")
    is_recording = output.suffix == ".rrd" or arguments.viewer is not None or arguments.browser is not None
    if arguments.viewer is None and arguments.browser is None:
        inputs = [arguments.geometry, arguments.hits, arguments.photons]
        check_output_file(output, "--output", inputs, endings=_SUFFIXES, in_place=not is_recording)
    _check(arguments, is_recording)
    geometry = read_geometry(arguments.geometry)
    positions = channels_of(geometry).positions.astype(float)
    hits = _hits(arguments, len(positions))
    if is_recording:
        _draw_recording(arguments, _drawings(arguments, geometry, positions, hits), output)
    elif output.suffix == ".html":
        from std_daq.photons.display.page import unrolled_page
        from std_daq.photons.display.sections import unrolled

        output.write_text(unrolled_page(unrolled(positions), hits))
        print(output)
    else:
        _draw_picture(arguments, geometry, hits, output)
    return EXIT_DONE


def _check(arguments: argparse.Namespace, is_recording: bool) -> None:
    if arguments.event is not None and arguments.hits is None and arguments.photons is None:
        raise ArgumentError("--event", "it chooses among hits", value=arguments.event, remedy="give them with --hits")
    if arguments.photons is not None and not is_recording:
        raise ArgumentError(
            "--photons",
            "their ways are drawn in three dimensions",
            remedy="with --output FILE.rrd, --viewer or --browser",
        )
    if arguments.trace is not None and arguments.photons is None:
        raise ArgumentError("--trace", "it chooses among photons", remedy="give them with --photons")


def _hits(arguments: argparse.Namespace, n_channels: int) -> "ShownHits | None":
    from std_daq.cli.path_checks import check_input_file
    from std_daq.photons.display.shown_hits import ShownHits

    if arguments.hits is None:
        return None
    check_input_file(arguments.hits, "--hits")
    hits = ShownHits.read(arguments.hits, n_channels)
    return hits if arguments.event is None else hits.of_event(arguments.event)


def _draw_picture(
    arguments: argparse.Namespace, geometry: "GeometryFile", hits: "ShownHits | None", output: Path
) -> None:
    from std_daq.photons.display.picture import draw_detector

    folder, centre = arguments.geometry.parent, tuple(arguments.centre)
    draw_detector(geometry, folder=folder, centre=centre, hits=hits).savefig(output, dpi=100)
    print(output)


def _drawings(
    arguments: argparse.Namespace, geometry: "GeometryFile", positions: "NDArray[np.float64]", hits: "ShownHits | None"
) -> "list[Drawing]":
    from std_daq.photons.display.drawings import ArrivalDrawing, DetectorDrawing, HitsDrawing, PathsDrawing, ViewLayout
    from std_daq.photons.display.placed_meshes import channel_radii, placed_meshes
    from std_daq.photons.display.sections import unrolled
    from std_daq.photons.display.shown_hits import ShownHits

    folder, flat = arguments.geometry.parent, unrolled(positions)
    paths = _paths(arguments, hits)
    shown = hits or ShownHits.none()
    drawn = HitsDrawing(shown, positions, channel_radii(geometry, folder), flat)
    events = {event for event, _ in shown.by_event()} | ({paths.event} if paths else set())
    drawings: list[Drawing] = [ViewLayout(has_arrival=len(events) == 1)]
    drawings += [DetectorDrawing(list(placed_meshes(geometry, folder)), flat), drawn]
    if paths is not None:
        drawings.append(PathsDrawing(paths))
    if len(events) == 1:
        drawings.append(ArrivalDrawing(drawn, paths))
    return drawings


def _paths(arguments: argparse.Namespace, hits: "ShownHits | None") -> "PhotonPaths | None":
    from std_daq.cli.path_checks import check_input_file
    from std_daq.photons.display.photon_paths import PhotonPaths

    if arguments.photons is None:
        return None
    check_input_file(arguments.photons, "--photons")
    events = [] if hits is None else hits.by_event()
    event = events[0][0] if arguments.event is None and events else arguments.event
    return PhotonPaths.trace(
        arguments.geometry, arguments.photons,
        event=event, numbers=arguments.trace, n_first=_N_PATHS, seed=arguments.worker_seed,
    )  # fmt: skip


def _draw_recording(arguments: argparse.Namespace, drawings: "list[Drawing]", output: Path) -> None:
    from std_daq.cli.interrupt import StopSignals
    from std_daq.photons.display.drawings import APPLICATION
    from std_daq.view3d.browser_viewer import BrowserViewer
    from std_daq.view3d.recording_file import write_recording

    if arguments.viewer is not None:
        _send(arguments.viewer, drawings)
        print(f"drawn in the viewer at {arguments.viewer}")
    elif arguments.browser is not None:
        signals = StopSignals()
        with BrowserViewer(port=arguments.browser) as viewer:
            _send(viewer.address, drawings)
            print(f"open {viewer.url} in a browser; Ctrl-C ends", flush=True)
            while not signals.event.wait(_LOOK_S):
                viewer.check()
    else:
        write_recording(output, APPLICATION, drawings)
        print(output)


def _send(address: "ViewerAddress", drawings: "list[Drawing]") -> None:
    from std_daq.photons.display.drawings import APPLICATION
    from std_daq.view3d.viewer_link import ViewerLink

    with ViewerLink(address, APPLICATION, uuid.uuid4().hex) as viewer:
        for drawing in drawings:
            viewer.show(drawing, _SENDING_S)


def _viewer(text: str) -> "ViewerAddress":
    from std_daq.view3d.viewer_address import ViewerAddress

    try:
        return ViewerAddress.of(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
