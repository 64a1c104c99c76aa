"""Picture of a result: each figure against its target, as SVG."""

import math
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from std_benchmarks.figure import Figure
from std_benchmarks.result import Result
from std_benchmarks.tables import number

_ROW = 26
_NAMES = 430
_CHART = 420
_NUMBERS = 210
_TOP = 64
_DECADES = 1.0  # on either side of the target; what is beyond ends at the edge
_COLOURS = {True: "#1a7f37", False: "#cf222e"}


def to_svg(result: Result) -> str:
    """Return a picture of all figures that have a target.

    A row for each: the dot is the median, the line goes from the worst turn to the best. The vertical line is the
    target; right of it is better, and each mark is a factor of 2.
    """
    figures = [figure for figure in result.all_figures() if figure.target is not None]
    height = _TOP + _ROW * len(figures) + 20
    width = _NAMES + _CHART + _NUMBERS
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "font-family": "sans-serif",
            "font-size": "13",
        },
    )
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "white"})
    machine = result.machine
    _text(svg, 12, 22, f"{machine['processor']}, {machine['cores']} cores, {machine['kernel']}, {result.started}")
    _axis(svg, height)
    for index, figure in enumerate(figures):
        _row(svg, _TOP + _ROW * index + _ROW // 2, figure)
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def better_by(figure: Figure, value: float) -> float:
    """Return by which factor a value is better than the figure's target; below 1 it misses it."""
    if figure.target is None or value <= 0:
        return 0.0
    return figure.target.bound / value if figure.target.side == "at most" else value / figure.target.bound


def _axis(svg: ET.Element, height: int) -> None:
    for factor in _marks():
        at = _position(factor)
        is_target = factor == 1
        colour, label = ("#24292f", "target") if is_target else ("#d0d7de", f"{factor:g} x")
        _line(svg, at, _TOP - 8, at, height - 12, colour, 1.5 if is_target else 1.0)
        _text(svg, at, _TOP - 14, label, anchor="middle", size=11)


def _marks() -> Iterator[float]:
    n = math.floor(_DECADES / math.log10(2))
    yield from (2.0**power for power in range(-n, n + 1))


def _row(svg: ET.Element, y: int, figure: Figure) -> None:
    colour = _COLOURS[bool(figure.is_met)]
    _text(svg, _NAMES - 12, y + 4, figure.name, anchor="end")
    ends = [_position(better_by(figure, value)) for value in figure.spread]
    _line(svg, min(ends), y, max(ends), y, colour, 3)
    at = _position(better_by(figure, figure.judged))
    ET.SubElement(svg, "circle", {"cx": f"{at:.1f}", "cy": str(y), "r": "5", "fill": colour})
    what = f"{number(figure.judged)} x" if figure.references else f"{number(figure.judged)} {figure.unit}"
    _text(svg, _NAMES + _CHART + 12, y + 4, f"{what} (target {figure.target})")


def _position(factor: float) -> float:
    decades = math.log10(factor) if factor > 0 else -_DECADES
    return _NAMES + _CHART * (max(-_DECADES, min(_DECADES, decades)) + _DECADES) / (2 * _DECADES)


def _line(svg: ET.Element, x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> None:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    ET.SubElement(svg, "line", ends | {"stroke": colour, "stroke-width": f"{width:g}", "stroke-linecap": "round"})


def _text(svg: ET.Element, x: float, y: float, text: str, *, anchor: str = "start", size: int = 13) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "font-size": str(size), "fill": "#24292f"}
    ET.SubElement(svg, "text", place).text = text
