"""LiveImage: the newest image of a detector in a cell of a notebook."""

import base64
import html
import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConsoleError
from std_daq.imaging.display.colour_maps import ColourMap, Scale
from std_daq.notebook.console_client import ConsoleClient
from std_daq.notebook.followed_cell import FollowedCell
from std_daq.notebook.image_style import ImageStyle, fitting
from std_daq.notebook.live_output import CellContent

_WORDS = {
    "live": "live",
    "stale": "stale: no image has come since; is the detector sending?",
    "ended": "ended: no service writes the images any more; is the assembler running?",
}
_MIN_BAR = 160  # pixels, so that both limits have room
_MAX_RATE_HZ = 50.0


class LiveImage(FollowedCell):
    """The newest image of a detector, from a console; as the last value of a cell, it follows the detector.

    It is looked for in a thread, so it stays live while other cells are executed. What the cell shows is a picture,
    which stays in the notebook. Errors stand below the picture, and it goes on when the console is back.

    Parameters
    ----------
    url
        URL of the console, such as ``http://daq-server:5000``.
    detector
        Name of the detector.
    low, high, scale, colours, region, width
        As of `ImageStyle`; `set` changes them.
    rate_hz
        Pictures per second, at most. A large picture comes more slowly, so that Jupyter does not withhold it.
    seconds
        How long the cell follows the detector, so that a notebook that was forgotten ends to ask.
    token_file
        File with the token of the console, if it needs one for reading.

    Raises
    ------
    ConsoleError
        ``url`` is not the URL of a console. One that is not there is told in the cell.
    ValueError
        Another argument is wrong.
    """

    def __init__(
        self,
        url: str,
        detector: str,
        *,
        low: float | None = None,
        high: float | None = None,
        scale: Scale = "linear",
        colours: ColourMap = "viridis",
        region: Sequence[int] | None = None,
        width: int = 512,
        rate_hz: float = 2.0,
        seconds: float = 3600.0,
        token_file: Path | str | None = None,
    ) -> None:
        if not 0 < rate_hz <= _MAX_RATE_HZ:
            raise ValueError(f"rate_hz: {rate_hz!r} is not above 0 and up to {_MAX_RATE_HZ:g}")
        self.style = ImageStyle(low=low, high=high, scale=scale, colours=colours, region=region, width=width)
        super().__init__(ConsoleClient(url, detector, token_file), period_s=1 / rate_hz, seconds=seconds)
        self._lock = threading.Lock()
        self._forget()

    def set(self, **style: Any) -> None:
        """Change how the image is shown, for example ``set(low=0, high=200)``; arguments as of `ImageStyle`.

        Raises
        ------
        ValueError
            A value is not of its kind.
        TypeError
            There is no such argument.
        """
        changed = replace(self.style, **style)
        with self._lock:
            self.style = changed
            self._forget()
        self._output.hurry()

    def pixels(self) -> NDArray[Any]:
        """Return the pixels of the newest image, (rows, columns), or those of the region.

        Of more than 4096 rows or columns, bins are returned, each the largest of its pixels: choose a region.

        Raises
        ------
        ConsoleError
            The console gives no answer, or has no image.
        """
        answer = self._console.get("/image.npy", self.style.region_query())
        try:
            array: NDArray[Any] = np.load(io.BytesIO(answer.body), allow_pickle=False)
        except ValueError:
            raise ConsoleError(f"{self._console.url} is no console: its answer is not an array") from None
        return array

    def _begin(self) -> None:
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        """Forget what is shown, so that the next look shows something."""
        self._etag = ""
        self._facts: Mapping[str, str] = {}
        self._told = ""
        self._picture = ""

    def _look(self) -> CellContent | None:
        with self._lock:
            style, etag = self.style, self._etag
        answer = None
        try:
            size = {"size": f"{style.width},{style.width}"}
            answer = self._console.get("/image", style.query() | size, {"If-None-Match": etag} if etag else {})
            if answer.status == HTTPStatus.OK and answer.headers.get("content-type") != "image/png":
                raise ConsoleError(f"{self._console.url} is no console: its answer is not a picture")
            told = _WORDS.get(answer.headers.get("x-image-state", ""), "")
        except ConsoleError as error:
            answer, told = None, str(error)
        with self._lock:
            if style is not self.style:
                return None  # it was changed meanwhile, and is looked at once more
            if answer is not None and answer.status == HTTPStatus.OK:
                self._picture = base64.b64encode(answer.body).decode()
                self._facts = answer.headers
                self._etag = answer.headers.get("etag", "")
            elif told == self._told:
                return None
            self._told = told
            return self._content(told)

    def _paused(self) -> CellContent:
        with self._lock:
            return self._content(self.PAUSED, is_last=True)

    def _content(self, told: str, *, is_last: bool = False) -> CellContent:
        """Return what the cell shows: the picture, its colours, and what is known of the image."""
        name = self._console.detector
        if not self._picture:
            return CellContent(f"<p><b>{html.escape(name)}</b>: {html.escape(told)}</p>", f"{name}: {told}", is_last)
        caption = f"{self._caption()}; {told}"
        x0, y0, x1, y1 = (int(corner) for corner in self._facts["x-image-region"].split(","))
        width, height = fitting((y1 - y0, x1 - x0), self.style.width)
        low, high = (html.escape(self._facts[f"x-image-{limit}"]) for limit in ("low", "high"))
        picture = (
            f'<img src="data:image/png;base64,{self._picture}" width="{width}" height="{height}" '
            f'alt="{html.escape(caption)}" style="image-rendering: pixelated; max-width: none">'
        )
        bar = (
            f'<div style="display: flex; gap: 0.5em; width: {max(width, _MIN_BAR)}px"><span>{low}</span>'
            f'<span style="flex: 1; background: {self.style.gradient()}"></span><span>{high}</span></div>'
        )
        return CellContent(f"<div>{picture}{bar}<p>{html.escape(caption)}</p></div>", caption, is_last)

    def _caption(self) -> str:
        facts = self._facts
        parts = [f"{self._console.detector}, image {facts['x-image-id']}: {facts['x-image-status']}"]
        if (missing := facts["x-image-missing-packets"]) != "0":
            parts.append(f"{missing} packets missing")
        if "x-image-min" in facts:
            parts.append(f"values {facts['x-image-min']} to {facts['x-image-max']}")
        return "; ".join(parts)
