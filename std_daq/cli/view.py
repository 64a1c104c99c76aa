"""Show the newest image of a live stream, again and again.

On a terminal it is a picture made of characters, elsewhere, and on a terminal that obeys no escape sequences
(TERM=dumb), a line of text. --picture also writes a PNG. The command ends with Ctrl-C or after --n-images.
"""

import argparse
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from std_daq.cli.argument_types import positive_integer, positive_number, stream_address
from std_daq.cli.shared_options import add_json_option, add_period_option
from std_daq.errors import ConfigError, ResourceError
from std_daq.folders.new_file import NewFile
from std_daq.terminal import obeys_sequences

_PROBE_S = 1.0

if TYPE_CHECKING:
    from std_daq.client.live_view import LiveView
    from std_daq.imaging.protocols.array_stream import ArrayImage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--address",
        type=stream_address,
        metavar="ADDRESS",
        help="address of the stream, for example tcp://127.0.0.1:20000",
    )
    source.add_argument("--config", type=Path, metavar="FILE", help="a detector.json, whose first live stream is shown")
    parser.add_argument("--n-images", type=positive_integer, metavar="N", help="end after N images")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="write each image shown to this file as a picture")
    add_period_option(parser, 0.2)
    parser.add_argument(
        "--timeout-s",
        type=positive_number,
        default=10.0,
        metavar="SECONDS",
        help="longest wait for an image; by default 10",
    )
    add_json_option(parser, "print one JSON document per image, each on one line")


def run(arguments: argparse.Namespace) -> int:
    """Show images; returns the exit code."""
    from std_daq.cli.path_checks import check_output_file
    from std_daq.client.live_view import LiveView

    if arguments.picture is not None:
        check_output_file(arguments.picture, "--picture", [arguments.config], endings=[".png"])
    address = arguments.address or _first_stream(arguments.config)
    with closing(LiveView(address)) as view:
        images = _images(view, address, arguments)
        try:
            if arguments.json or not obeys_sequences(sys.stdout):
                _print(images, view, _as_json if arguments.json else _as_line)
            else:
                _paint(images, view)
        except KeyboardInterrupt:
            return 0
    return 0


def describe(image: "ArrayImage") -> str:
    """Return a line with the id, size, type, state and range of values of an image."""
    from std_daq.imaging.image_faults import describe_status

    facts = _facts(image)
    good = "good" if image.is_good else describe_status(image.status) if image.status else "not good"
    size = f"{facts['width']} x {facts['height']} {facts['type']}"
    values = "  ".join(f"{name} {facts[name]:.6g}" for name in ("min", "mean", "max") if facts.get(name) is not None)
    return f"image {image.frame}  {size}  {good}  {values}".rstrip()


def describe_refused(view: "LiveView") -> str:
    """Return how many messages were no images, and what was wrong with the last one; empty if there were none."""
    if not view.n_refused:
        return ""
    messages = "message was" if view.n_refused == 1 else "messages were"
    return f"{view.n_refused} {messages} no image of this format; the last one: {view.last_problem}"


def _images(view: "LiveView", address: str, arguments: argparse.Namespace) -> "Iterator[ArrayImage]":
    n_shown = 0
    while arguments.n_images is None or n_shown < arguments.n_images:
        image = view.newest(arguments.timeout_s)
        if image is None:
            refused = describe_refused(view) or _why_nothing(address)
            raise ResourceError(
                f"no image arrived from {address} within {arguments.timeout_s:g} s"
                + (f"; {refused}" if refused else "")
            )
        if arguments.picture is not None:
            _write_picture(image, arguments.picture)
        yield image
        n_shown += 1
        if n_shown != arguments.n_images:
            time.sleep(arguments.period_s)


def _why_nothing(address: str) -> str:
    """Return why nothing can come from an address; empty if somebody listens there."""
    from std_daq.address_words import address_in_words

    kind, _, place = address.partition("://")
    try:
        if kind == "tcp":
            host, _, port = place.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), _PROBE_S).close()
        else:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(place)
    except OSError as error:
        return address_in_words(error)
    return ""


def _print(images: "Iterator[ArrayImage]", view: "LiveView", in_words: "Callable[[ArrayImage, LiveView], str]") -> None:
    for image in images:
        print(in_words(image, view), flush=True)


def _paint(images: "Iterator[ArrayImage]", view: "LiveView") -> None:
    from rich.live import Live

    from std_daq.cli.interrupt import sigterm_raises
    from std_daq.cli.terminal_picture import TerminalPicture
    from std_daq.telemetry.terminal_console import TerminalConsole

    console = TerminalConsole()
    with sigterm_raises(), Live(console=console, auto_refresh=False) as live:
        for image in images:
            live.update(TerminalPicture(image.pixels, _as_line(image, view)), refresh=True)


def _as_line(image: "ArrayImage", view: "LiveView") -> str:
    return "  ".join(filter(None, (describe(image), describe_refused(view))))


def _as_json(image: "ArrayImage", view: "LiveView") -> str:
    return json.dumps({**image.header, **_facts(image), "n_refused": view.n_refused})


def _facts(image: "ArrayImage") -> dict[str, Any]:
    import numpy as np

    height, width = image.pixels.shape
    values = image.pixels[np.isfinite(image.pixels)]
    facts = {}
    if values.size:
        with np.errstate(over="ignore"):
            mean = float(values.mean(dtype=np.float64))
        facts = {"min": values.min().item(), "mean": mean if np.isfinite(mean) else None, "max": values.max().item()}
    return {"height": height, "width": width, "type": image.pixels.dtype.name, **facts}


def _write_picture(image: "ArrayImage", png: Path) -> None:
    from PIL import Image

    from std_daq.imaging.files.colours import colour

    with NewFile(png) as new:  # a program that shows the file never reads a half-written picture
        Image.fromarray(colour(image.pixels)).save(new.opened, format="PNG")
        new.replace()


def _first_stream(file: Path) -> str:
    """Return the address at which a client on this machine reaches the first stream of a configuration."""
    from std_daq.imaging.config.load import load_config

    streams = load_config(file).live_stream_configs
    if not streams:
        raise ConfigError("no live stream is configured", file=file, key="live_stream_configs")
    return local_address(next(iter(streams)))


def local_address(address: str) -> str:
    """Return the address at which this machine reaches a stream, also of one that listens on all addresses."""
    for everywhere, here in {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.items():  # noqa: S104
        address = address.replace(f"tcp://{everywhere}:", f"tcp://{here}:")
    return address
