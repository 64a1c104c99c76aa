"""The picture: a row for each figure with a target, the target in the middle, better to the right."""

from xml.etree import ElementTree as ET

import pytest

from std_benchmarks.figure import Figure, Target
from std_benchmarks.picture import better_by, to_svg
from std_benchmarks.result import Result

SVG = "{http://www.w3.org/2000/svg}"
MACHINE = {"processor": "P <fast>", "cores": 2, "kernel": "Linux"}


def circles(*figures: Figure) -> list[ET.Element]:
    picture = ET.fromstring(to_svg(Result(MACHINE, "today", {"a": list(figures)})))
    return list(picture.iter(f"{SVG}circle"))


def target_line() -> float:
    picture = ET.fromstring(to_svg(Result(MACHINE, "today", {})))
    (line,) = (line for line in picture.iter(f"{SVG}line") if line.attrib["stroke-width"] == "1.5")
    return float(line.attrib["x1"])


@pytest.mark.parametrize("target", [Target.at_most(0.5), Target.at_least(0.5)])
def test_a_figure_at_its_target_stands_on_the_line(target: Target) -> None:
    (circle,) = circles(Figure("drain", "s", [1.0], "C", [2.0], target))
    assert float(circle.attrib["cx"]) == target_line()


def test_less_is_better_where_the_target_is_an_upper_bound() -> None:
    cheap, dear = circles(
        Figure("cheap", "s", [1.0], "C", [8.0], Target.at_most(0.5)),
        Figure("dear", "s", [8.0], "C", [8.0], Target.at_most(0.5)),
    )
    assert float(dear.attrib["cx"]) < target_line() < float(cheap.attrib["cx"])
    assert cheap.attrib["fill"] != dear.attrib["fill"]
    assert better_by(Figure("dear", "s", [8.0], target=Target.at_most(2)), 8.0) == 0.25


def test_what_is_far_off_ends_at_the_edge_and_what_has_no_target_is_left_out() -> None:
    far, nothing = circles(
        Figure("far", "1/s", [1e9], target=Target.at_least(1)),
        Figure("nothing", "1/s", [0.0], target=Target.at_least(1)),
        Figure("listed", "1/s", [5.0]),
    )
    assert float(nothing.attrib["cx"]) < target_line() < float(far.attrib["cx"])
