"""PanoImagePreviewer: the newest images of each module, side by side."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from std_daq.telescope.captions import image_caption, kind_in_words, overall_caption
from std_daq.telescope.plots.canvas import Canvas
from std_daq.telescope.plots.colour_limits import ColourLimits

_COLOURS = "plasma"
_WIDTH_IN = 3.6
_HEADLINE_IN = 0.6
_TYPES = ("PULSE_HEIGHT", "MOVIE")


class _Place(NamedTuple):
    module_id: int
    kind: str


class PanoImagePreviewer:
    """Shows a row for each module from which an image has come: pulse heights left, movie images right.

    In a notebook::

        previewer = PanoImagePreviewer(True, True, jupyter_notebook=True)
        for image in client.stream_images(None, True, True, 1.0):
            previewer.update(image)

    Parameters
    ----------
    stream_movie_data, stream_pulse_height_data
        Types that are shown.
    module_id_whitelist
        Modules that are shown; none stands for all.
    text_width, font_size
        Of the text above an image: characters in a line, and size in points.
    row_height
        Height of a row in inches.
    window_size
        How many images of a type determine its colours.
    plot_update_interval
        Shortest time between two drawings, in seconds.
    jupyter_notebook
        Show it below the cell of a notebook.
    in_window
        Show it in a window; None: if there is a display, and no notebook.
    """

    def __init__(
        self,
        stream_movie_data: bool,
        stream_pulse_height_data: bool,
        module_id_whitelist: Iterable[int] = (),
        text_width: int = 30,
        font_size: int = 8,
        row_height: float = 3,
        window_size: int = 10,
        plot_update_interval: float = 1.0,
        jupyter_notebook: bool = False,
        *,
        in_window: bool | None = None,
    ) -> None:
        wanted = {"PULSE_HEIGHT": stream_pulse_height_data, "MOVIE": stream_movie_data}
        self._kinds = [kind for kind in _TYPES if wanted[kind]]
        self._whitelist = frozenset(module_id_whitelist)
        self._text_width = text_width
        self._font_size = font_size
        self._row_height_in = row_height
        self._limits = {kind: ColourLimits(window_size) for kind in _TYPES}
        self._newest: dict[_Place, dict[str, Any]] = {}
        self._shapes: dict[_Place, tuple[int, ...]] = {}
        self._pictures: dict[_Place, Any] = {}
        self._headline: Any = None
        self.canvas = Canvas("Images", plot_update_interval, in_notebook=jupyter_notebook, in_window=in_window)

    def update(self, image: dict[str, Any]) -> None:
        """Take a parsed image; draws if the time for it has come."""
        kind, module_id = image["type"], image["module_id"]
        if kind not in self._kinds or (self._whitelist and module_id not in self._whitelist):
            return
        self._limits[kind].add(image["image_array"])
        self._newest[_Place(module_id, kind)] = image
        if self.canvas.is_due:
            self.draw()

    def draw(self) -> None:
        """Draw what has come, whether the time has come or not."""
        modules = sorted({place.module_id for place in self._newest})
        shapes = {place: _as_rows(image["image_array"]).shape for place, image in sorted(self._newest.items())}
        is_new = shapes != self._shapes
        if is_new:
            self._shapes = shapes
            self._arrange(modules)
        for place, image in self._newest.items():
            self._draw_image(place, image)
        newest = next(reversed(self._newest.values()), None)
        caption = overall_caption("" if newest is None else newest["file"], modules)
        if is_new:
            self._headline = self.canvas.figure.suptitle(caption, fontsize=self._font_size + 2)
            self._fix_places()
        elif self._headline is not None:
            self._headline.set_text(caption)
        self.canvas.show()

    def save(self, png: Path) -> None:
        """Draw, and write a PNG."""
        self.draw()
        self.canvas.save(png)

    def _arrange(self, modules: list[int]) -> None:
        """Make room for images of a new module, or of another shape."""
        self._pictures.clear()
        figure = self.canvas.figure
        figure.clear()
        figure.set_layout_engine("constrained")
        n_rows, n_columns = max(len(modules), 1), max(len(self._kinds), 1)
        figure.set_size_inches(_WIDTH_IN * n_columns, self._row_height_in * n_rows + _HEADLINE_IN)
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for row, module_id in zip(grid, modules, strict=False):
            for axes, kind in zip(row, self._kinds, strict=False):
                place = _Place(module_id, kind)
                if place in self._shapes:
                    axes.set_axis_on()
                    blank = np.zeros(self._shapes[place])
                    self._pictures[place] = axes.imshow(blank, cmap=_COLOURS, interpolation="nearest")
                    figure.colorbar(self._pictures[place], ax=axes, label="ADC")
                else:
                    axes.set_title(f"module {module_id}: no {kind_in_words(kind)} yet", fontsize=self._font_size)

    def _fix_places(self) -> None:
        """Find room for everything once; doing it for each drawing takes as long as the drawing."""
        self.canvas.figure.draw_without_rendering()
        self.canvas.figure.set_layout_engine("none")

    def _draw_image(self, place: _Place, image: dict[str, Any]) -> None:
        picture = self._pictures[place]
        picture.set_data(_as_rows(image["image_array"]))
        picture.set_clim(*self._limits[place.kind].limits)
        caption = image_caption(image, self._text_width)
        picture.axes.set_title(f"module {place.module_id}, {caption}", fontsize=self._font_size)


def _as_rows(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return pixels of any number of dimensions as rows and columns."""
    return pixels.reshape(-1, pixels.shape[-1])
