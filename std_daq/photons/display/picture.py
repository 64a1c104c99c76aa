"""A picture of a detector: two cuts through it, and its channels unrolled; with hits, how many each channel has."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from std_daq.photons.display.sections import SectionLines, section_lines, unrolled
from std_daq.photons.display.shown_hits import ShownHits
from std_daq.photons.geometry.file import GeometryFile
from std_daq.photons.geometry.scene import channels_of

_COLOURS = {"plain": "0.6", "covered": "tab:blue", "detecting": "tab:red"}
_MEANINGS = {"plain": "no surface", "covered": "surface", "detecting": "detects light"}


def draw_detector(
    geometry: GeometryFile, *, folder: Path, centre: tuple[float, float, float], hits: ShownHits | None
) -> Figure:
    """Draw a detector.

    Parameters
    ----------
    folder
        That of the geometry file.
    centre
        Where the cuts go through, in mm.
    hits
        None: only the places of the channels.
    """
    figure = Figure(figsize=(18, 6), layout="constrained")
    side, above, channels = figure.subplots(1, 3)
    _draw_section(
        side, section_lines(geometry, axis=1, offset=centre[1], folder=folder), "x", "z", f"y = {centre[1]:g} mm"
    )
    _draw_section(
        above, section_lines(geometry, axis=2, offset=centre[2], folder=folder), "x", "y", f"z = {centre[2]:g} mm"
    )
    positions = channels_of(geometry).positions.astype(float)
    _draw_channels(figure, channels, positions, None if hits is None else hits.counts(len(positions)))
    marks = [Line2D([], [], color=colour, label=_MEANINGS[kind]) for kind, colour in _COLOURS.items()]
    figure.legend(handles=marks, loc="outside lower left", ncols=3)
    return figure


def _draw_section(axes: Axes, lines: SectionLines, across: str, up: str, title: str) -> None:
    for kind, colour in _COLOURS.items():
        found = getattr(lines, kind)
        if len(found):
            axes.add_collection(LineCollection(list(found), colors=colour, linewidths=0.8, label=_MEANINGS[kind]))
    axes.autoscale()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel=f"{across} [mm]", ylabel=f"{up} [mm]", title=title)


def _draw_channels(figure: Figure, axes: Axes, positions: NDArray[np.float64], hits: NDArray[np.int64] | None) -> None:
    across, up = unrolled(positions).T
    size = min(100.0, max(1.0, 4000 / max(len(positions), 1)))
    if hits is None:
        axes.scatter(across, up, s=size, color=_COLOURS["detecting"], linewidths=0)
    else:
        points = axes.scatter(across, up, s=size, c=hits, cmap="viridis", linewidths=0)
        figure.colorbar(points, ax=axes, label="hits")
    total = "" if hits is None else f", {int(hits.sum())} hits"
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel="along the wall [mm]", ylabel="z [mm]", title=f"{len(positions)} channels{total}")
