"""The plots of ``std-daq live``: in windows, in PNG files, as pictures of characters, and in numbers."""

import argparse
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from std_daq.cli.interrupt import sigterm_raises
from std_daq.cli.path_checks import check_output_file
from std_daq.errors import ArgumentError, ResourceError
from std_daq.telescope.display import has_display
from std_daq.terminal import obeys_sequences

if TYPE_CHECKING:
    from std_daq.telescope.client import DaqDataClient, ImageStream

_DURATIONS_S = (10.0, 60.0, 600.0)
# Every image is wanted: no server offers less. 0 would do, but not for every client's own check.
_EVERY_IMAGE_S = 0.001
_LOOK_S = 0.05


class LivePlot(Protocol):
    """What is shown of the images."""

    def update(self, image: dict[str, Any]) -> None:
        """Take an image."""

    def look(self) -> bool:
        """Do what is due between two images; returns False if nobody looks any more."""

    def finish(self) -> None:
        """Show the last state."""


def check_drawn_plots(arguments: argparse.Namespace) -> None:
    """Check, before a host is asked, that the pictures have somewhere to go, and that what draws them is installed.

    Raises
    ------
    ArgumentError
        A file cannot be made, or there is neither a file nor a display nor a terminal that shows pictures.
    ImportError
        Matplotlib is not installed.
    """
    if arguments.png is not None:
        inputs = [arguments.daq_config, arguments.network_config, arguments.init]
        for file in set(filter(None, _png_names(arguments))):
            check_output_file(file, "--png", inputs, endings=[".png"])
    elif not has_display():
        if arguments.plot_phdist or arguments.json or not obeys_sequences(sys.stdout):
            raise ArgumentError(
                "--plot-phdist" if arguments.plot_phdist else "--plot-view",
                "there is no display, and no terminal for a picture of characters",
                remedy="draw into a file with --png FILE",
            )
        return
    import_module("std_daq.telescope.plots")


def show(client: "DaqDataClient", arguments: argparse.Namespace, document: dict[str, Any]) -> None:
    """Show images until --frames or --seconds are over, the windows are closed, or Ctrl-C."""
    client.validate_daq_hosts(arguments.host)
    with client.stream_images(
        arguments.host,
        stream_movie_data=arguments.plot_view or arguments.plot_speed,
        stream_pulse_height_data=True,
        update_interval_seconds=_interval_s(arguments),
        module_ids=arguments.module_ids,
        reconnect=True,
    ) as images:
        plots = _plots(arguments, images)
        n_images = 0
        try:
            with suppress(KeyboardInterrupt), sigterm_raises():
                n_images = _run(images, plots, arguments.frames)
        finally:
            for plot in plots:
                plot.finish()
    document["progress"] = {name: progress.as_document() for name, progress in images.progress.items()}
    if not n_images and (arguments.frames or arguments.seconds):
        why = "; ".join(one.problem or one.message for one in images.progress.values() if one.problem or one.message)
        raise ResourceError(f"no image has come{f': {why}' if why else ''}")


def _interval_s(arguments: argparse.Namespace) -> float:
    """Return the interval that is asked for: that of the drawings, unless every image counts."""
    counts_each = arguments.plot_phdist or arguments.plot_speed or arguments.frames
    interval_s: float = _EVERY_IMAGE_S if counts_each else arguments.refresh_period
    return interval_s


def _run(images: "ImageStream", plots: list[LivePlot], n_wanted: int | None) -> int:
    n_images = 0
    with suppress(StopIteration):
        while n_wanted is None or n_images < n_wanted:
            image = images.poll(_LOOK_S)
            if image is not None:
                n_images += 1
                for plot in plots:
                    plot.update(image)
            is_watched = [plot.look() for plot in plots]  # each of them, not only up to the first
            if not all(is_watched):
                break
    return n_images


def _plots(arguments: argparse.Namespace, images: "ImageStream") -> list[LivePlot]:
    plots: list[LivePlot] = []
    if arguments.plot_view or arguments.plot_phdist:
        plots += _drawn_plots(arguments)
    if arguments.plot_speed:
        plots.append(SpeedPlot(images, as_json=arguments.json))
    return plots


def _drawn_plots(arguments: argparse.Namespace) -> list[LivePlot]:
    is_in_window = arguments.png is None and has_display()
    if arguments.png is None and not is_in_window:
        return [TerminalView()]
    from std_daq.telescope.plots import PanoImagePreviewer, PulseHeightDistribution

    plots: list[LivePlot] = []
    period_s, module_ids = arguments.refresh_period, arguments.module_ids
    names = _png_names(arguments)
    if arguments.plot_view:
        previewer = PanoImagePreviewer(True, True, module_ids, plot_update_interval=period_s, in_window=is_in_window)
        plots.append(DrawnPlot(previewer, names[0], period_s))
    if arguments.plot_phdist:
        distribution = PulseHeightDistribution(_DURATIONS_S, module_ids, period_s, in_window=is_in_window)
        plots.append(DrawnPlot(distribution, names[1], period_s))
    return plots


def _png_names(arguments: argparse.Namespace) -> tuple[Path | None, Path | None]:
    """Return the files of the two plots: the one that is given, or two that are named after it."""
    png: Path | None = arguments.png
    if png is None or not (arguments.plot_view and arguments.plot_phdist):
        return png, png
    return png.with_stem(f"{png.stem}-view"), png.with_stem(f"{png.stem}-phdist")


class DrawnPlot:
    """A plot in a window or in a PNG file.

    Parameters
    ----------
    plot
        The plot.
    png
        The file, which is written anew each period and at the end; None: the plot has a window.
    period_s
        Shortest time between two files.
    """

    def __init__(self, plot: Any, png: Path | None, period_s: float) -> None:
        self._plot = plot
        self._png = png
        self._period_s = period_s
        self._due_s = 0.0

    def update(self, image: dict[str, Any]) -> None:
        """Take an image."""
        self._plot.update(image)
        if self._png is not None and time.monotonic() >= self._due_s:
            self._plot.save(self._png)
            self._due_s = time.monotonic() + self._period_s

    def look(self) -> bool:
        """Let the window answer; returns False once it is closed."""
        self._plot.canvas.keep_alive()
        return not self._plot.canvas.is_closed

    def finish(self) -> None:
        """Write the last state, or close the window."""
        if self._png is not None:
            self._plot.save(self._png)
        self._plot.canvas.close()


class SpeedPlot:
    """Prints each second how many images each host sends, and what is skipped.

    Parameters
    ----------
    images
        The stream.
    as_json
        Whether nothing is printed, because a document follows.
    """

    def __init__(self, images: "ImageStream", *, as_json: bool) -> None:
        self._images = images
        self._as_json = as_json
        self._due_s = time.monotonic() + 1.0
        self._before: dict[str, int] = {}

    def update(self, image: dict[str, Any]) -> None:
        """Take an image."""

    def look(self) -> bool:
        """Print what is due."""
        if time.monotonic() >= self._due_s:
            self._due_s += 1.0
            self._print()
        return True

    def finish(self) -> None:
        """Print the sums."""
        self._print()

    def _print(self) -> None:
        if self._as_json:
            return
        for name, one in self._images.progress.items():
            n_new = one.received - self._before.get(name, 0)
            self._before[name] = one.received
            skipped = (
                f"skipped: {one.skipped_by_interval} by the interval, "
                f"{one.skipped_by_slow_client} because this client is slow, {one.missed_while_away} while away"
            )
            state = f"{one.reconnects} reconnects" + (f"; {one.problem}" if one.problem else "")
            print(f"{name}: {n_new} images in the last second; {one.received} received, {skipped}; {state}", flush=True)


class TerminalView:
    """Shows the newest image of one module after the other as characters, on a terminal without a display."""

    def __init__(self) -> None:
        from rich.live import Live

        from std_daq.telemetry.terminal_console import TerminalConsole

        self._console = TerminalConsole()
        self._live = Live(console=self._console, auto_refresh=False)
        self._live.start()

    def update(self, image: dict[str, Any]) -> None:
        """Take an image."""
        from std_daq.cli.terminal_picture import TerminalPicture
        from std_daq.telescope.captions import image_caption

        caption = image_caption(image, self._console.width).replace("\n", "  ")
        picture = TerminalPicture(image["image_array"], f"module {image['module_id']}  {caption}")
        self._live.update(picture, refresh=True)

    def look(self) -> bool:
        """Go on."""
        return True

    def finish(self) -> None:
        """Leave the last picture."""
        self._live.stop()
