"""HistogramDrawing: histograms as tensors and bar charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.histograms.definitions import DEFINITIONS, HistogramDefinition
from std_daq.tpc.histograms.message import HistogramMessage

if TYPE_CHECKING:
    import rerun as rr
    from rerun import RecordingStream

FOLDERS = {"run": "/histograms", "recent": "/recent"}
"""Where the histograms of a run are, and those of the last minutes."""


@dataclass(frozen=True, slots=True)
class HistogramDrawing:
    """All histograms of a run, or of the last minutes.

    They have no time: a series of them would fill the memory of the viewer.
    """

    message: HistogramMessage

    def draw(self, recording: RecordingStream) -> None:
        """Draw them in place of those before."""
        import rerun as rr

        for definition in DEFINITIONS:
            counts = self.message.counts[definition.name]
            entity = f"{FOLDERS[self.message.scope]}/{definition.name}"
            if len(definition.axes) == 1:
                recording.log(entity, _bar_chart(definition, counts), static=True)
            else:
                names = [_caption(definition, number) for number in range(len(definition.axes))]
                recording.log(entity, rr.Tensor(counts, dim_names=names), static=True)
        folder = FOLDERS[self.message.scope]
        recording.log(
            f"{folder}/tally", rr.TextDocument(tally_text(self.message), media_type="text/markdown"), static=True
        )


def tally_text(message: HistogramMessage) -> str:
    """Return which events are in the histograms, and how many are not."""
    tally = message.tally
    if message.scope == "recent":
        what = f"the last {(message.window_s or 0) / 60:g} minutes"
    else:
        what = "no run yet" if message.epoch is None else f"run {message.epoch}"
    outside = ", ".join(f"{name} {n}" for name, n in message.n_outside.items() if n)
    return (
        f"**{what}**: {tally.n_events} events with {tally.n_estimates} estimates; {tally.n_left_out} events left out"
        + (f"; estimates outside of the axes: {outside}" if outside else "")
    )


def _bar_chart(definition: HistogramDefinition, counts: NDArray[np.uint32]) -> rr.BarChart:
    import rerun as rr

    (axis,) = definition.axes
    return rr.BarChart(counts, abscissa=axis.centres, widths=np.full(axis.n_bins, axis.width, np.float32))


def _caption(definition: HistogramDefinition, number: int) -> str:
    """Return the name of a dimension; a tensor has no values at its axes, so it tells the range."""
    axis = definition.axes[number]
    unit = f" {axis.unit}" if axis.unit else ""
    return f"{axis.title}, {axis.low:g} to {axis.high:g}{unit}"
