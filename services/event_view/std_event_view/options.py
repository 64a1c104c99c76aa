"""Options of ``std-event-view``."""

import argparse
from pathlib import Path

from pydantic import ValidationError

from std_daq.errors import ArgumentError, ConfigError
from std_daq.number_arguments import integer, number
from std_daq.tpc.config import BrowserConfig
from std_daq.view3d.viewer_address import DEFAULT_BROWSER_PORT, ViewerAddress

_MAX_PORT = 65535
_MINUTES = 10.0
_AS_CONFIGURED = 0
# Options, as attributes, with the keys of viewer.browser that they replace.
_OF_BROWSER = {"browser_host": "host", "browser_data_port": "data_port", "browser_listen": "listen"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument(
        "--viewer", type=_viewer, metavar="HOST:PORT", help="a Rerun viewer; by default viewer.url of the configuration"
    )
    parser.add_argument(
        "--browser", type=_port, nargs="?", const=_AS_CONFIGURED, metavar="PORT",
        help=f"serve Rerun's viewer for browsers, by default on port {DEFAULT_BROWSER_PORT}; this option and the next "
        "three go before viewer.browser of the configuration",
    )  # fmt: skip
    parser.add_argument(
        "--browser-host", type=_host, metavar="HOST",
        help="name or address of this machine at which browsers reach it; by default 127.0.0.1, for those on it",
    )  # fmt: skip
    parser.add_argument(
        "--browser-data-port", type=_port, metavar="PORT",
        help="port at which browsers get what is drawn, and at which other viewers may; by default a free one",
    )  # fmt: skip
    parser.add_argument(
        "--browser-listen", type=_host, metavar="ADDRESS",
        help="address to listen at, if it is not that of the host: 0.0.0.0 in a container whose ports are published",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FILE.rrd", help="also record all results that are taken; the file must be new"
    )
    parser.add_argument(
        "--pad", type=integer, nargs="+", default=[], metavar="N",
        help="show the waveforms of these pads; by default of the pad with the largest amplitude",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=_minutes, default=_MINUTES, metavar="M",
        help="length of the last minutes, of which there are histograms; by default %(default)g",
    )  # fmt: skip


def browser_of(arguments: argparse.Namespace, config: BrowserConfig | None) -> BrowserConfig | None:
    """Return how to serve browsers, as the configuration says, or as options do; None if nobody asks for it.

    Raises
    ------
    ArgumentError
        An option has no meaning, because no browsers are served.
    """
    changes = {key: value for option, key in _OF_BROWSER.items() if (value := getattr(arguments, option)) is not None}
    if arguments.browser is None and config is None:
        if changes:
            raise ArgumentError(
                "--browser-...", "has no meaning, because no browsers are served", remedy="give --browser as well"
            )
        return None
    if arguments.browser:
        changes["port"] = arguments.browser
    return (config or BrowserConfig()).model_copy(update=changes)  # the types of the options have checked the values


def _viewer(text: str) -> ViewerAddress:
    try:
        return ViewerAddress.of(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _host(text: str) -> str:
    try:
        return BrowserConfig(host=text).host
    except ValidationError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a name or an address") from None


def _port(text: str) -> int:
    value = integer(text)
    if not 1 <= value <= _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{value} is not a port number from 1 to {_MAX_PORT}")
    return value


def _minutes(text: str) -> float:
    value = number(text)
    if not 0 < value <= 1440:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes up to 1440, a day")
    return value
