"""Options of ``std-event-view``."""

import argparse
from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.view3d.browser_viewer import DEFAULT_BROWSER_PORT
from std_daq.view3d.viewer_address import ViewerAddress

_MAX_PORT = 65535
_MINUTES = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument(
        "--viewer", type=_viewer, metavar="HOST:PORT", help="a Rerun viewer; by default viewer.url of the configuration"
    )
    parser.add_argument(
        "--browser", type=_port, nargs="?", const=DEFAULT_BROWSER_PORT, metavar="PORT",
        help="serve Rerun's viewer for browsers, by default on port %(const)s",
    )  # fmt: skip
    parser.add_argument(
        "--browser-host", default="127.0.0.1", metavar="HOST",
        help="the address of this machine at which browsers reach it; by default %(default)s, for those on it",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FILE.rrd", help="also record all results that are taken; the file must be new"
    )
    parser.add_argument(
        "--pad", type=int, nargs="+", default=[], metavar="N",
        help="show the waveforms of these pads; by default of the pad with the largest amplitude",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=_minutes, default=_MINUTES, metavar="M",
        help="length of the last minutes, of which there are histograms; by default %(default)g",
    )  # fmt: skip


def _viewer(text: str) -> ViewerAddress:
    try:
        return ViewerAddress.of(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{value} is not a port number from 1 to {_MAX_PORT}")
    return value


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1440:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes up to 1440, a day")
    return value
