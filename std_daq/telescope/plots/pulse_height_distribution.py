"""PulseHeightDistribution: how often which pulse height comes, over several durations."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from std_daq.telescope.plots.canvas import Canvas

_TITLE = "Distribution of Max Pulse-Heights"
_BINS = 75
_SMOOTH_BINS = 2.0
_WIDTH_IN, _HEIGHT_IN = 9.0, 3.0
_HEADLINE_IN = 0.5
_GAP, _TOP = 0.5, 0.1  # between panels, in heights of one; above them, as a part of the figure


class PulseHeightDistribution:
    """Shows the histogram of the largest pixel of each pulse-height image, for each module, one panel per duration.

    Each panel begins anew when its duration is over.

    Parameters
    ----------
    durations_seconds
        Durations of the panels.
    module_ids
        Modules that are shown; none stands for all.
    plot_update_interval
        Shortest time between two drawings, in seconds.
    jupyter_notebook
        Show it below the cell of a notebook.
    in_window
        Show it in a window; None: if there is a display, and no notebook.
    clock
        Returns monotonic time in seconds.
    """

    def __init__(
        self,
        durations_seconds: Iterable[float],
        module_ids: Iterable[int] = (),
        plot_update_interval: float = 1.0,
        jupyter_notebook: bool = False,
        *,
        in_window: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._module_ids = frozenset(module_ids)
        self._clock = clock
        self._panels = [_Panel(duration_s, clock()) for duration_s in durations_seconds]
        self.canvas = Canvas(
            _TITLE, plot_update_interval, in_notebook=jupyter_notebook, in_window=in_window, clock=clock
        )
        self.canvas.figure.set_size_inches(_WIDTH_IN, _HEIGHT_IN * len(self._panels) + _HEADLINE_IN)

    def update(self, image: dict[str, Any]) -> None:
        """Take a parsed image; draws if the time for it has come."""
        if image["type"] != "PULSE_HEIGHT" or (self._module_ids and image["module_id"] not in self._module_ids):
            return
        if image["image_array"].size:
            for panel in self._panels:
                panel.add(image["module_id"], int(image["image_array"].max()), self._clock())
        if self.canvas.is_due:
            self.draw()

    def draw(self) -> None:
        """Draw what has come, whether the time has come or not."""
        figure = self.canvas.figure
        figure.clear()
        figure.suptitle(_TITLE)
        grid = figure.subplots(len(self._panels), 1, squeeze=False, gridspec_kw={"hspace": _GAP, "top": 1 - _TOP})
        for axes, panel in zip(grid[:, 0], self._panels, strict=True):
            panel.draw(axes, self._clock())
        self.canvas.show()

    def save(self, png: Path) -> None:
        """Draw, and write a PNG."""
        self.draw()
        self.canvas.save(png)


class _Panel:
    def __init__(self, duration_s: float, now_s: float) -> None:
        self._duration_s = duration_s
        self._begun_s = now_s
        self._heights: dict[int, Counter[int]] = defaultdict(Counter)

    def add(self, module_id: int, height: int, now_s: float) -> None:
        if now_s - self._begun_s >= self._duration_s:
            self._heights.clear()
            self._begun_s = now_s
        self._heights[module_id][height] += 1

    def draw(self, axes: Any, now_s: float) -> None:
        so_far_s = min(now_s - self._begun_s, self._duration_s)
        axes.set_title(f"{so_far_s:.0f} s of {self._duration_s:g} s", fontsize="small")
        axes.set_xlabel("largest pixel (ADC)")
        axes.set_ylabel("density")
        for module_id, heights in sorted(self._heights.items()):
            density, edges = histogram(heights)
            label = f"module {module_id}: {heights.total()} images"
            steps = axes.stairs(density, edges, fill=True, alpha=0.4, label=label)
            axes.plot((edges[:-1] + edges[1:]) / 2, smooth(density), color=steps.get_facecolor()[:3])
        if self._heights:
            axes.legend(fontsize="small")


def histogram(heights: Counter[int]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the density of values that came so often, in 75 bins, and the edges of the bins."""
    values = np.fromiter(heights.keys(), float, len(heights))
    counts = np.fromiter(heights.values(), float, len(heights))
    density, edges = np.histogram(values, _BINS, weights=counts, density=True)
    return density, edges


def smooth(density: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a density smoothed by a Gaussian of two bins; its sum stays the same."""
    reach = np.arange(-3 * _SMOOTH_BINS, 3 * _SMOOTH_BINS + 1)
    kernel = np.exp(-((reach / _SMOOTH_BINS) ** 2) / 2)
    padded = np.pad(density, len(reach) // 2, mode="symmetric")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")
