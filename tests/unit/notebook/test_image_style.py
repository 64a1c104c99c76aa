import re
from typing import Any

import pytest

from std_daq.imaging.display.colour_maps import COLOUR_MAPS, colour_table
from std_daq.notebook.image_style import ImageStyle, fitting


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": float("nan")}, "low: nan is not a finite number"),
        ({"high": float("inf")}, "high: inf is not a finite number"),
        ({"scale": "cubic"}, "scale: 'cubic' is none of 'linear', 'sqrt', 'log'"),
        ({"colours": "jet"}, "colours: 'jet' is none of 'viridis', "),
        ({"width": 5000}, "width: 5000 is not 16 to 4096"),
        ({"region": (1, 2, 3)}, "region: (1, 2, 3) is not x0, y0, x1, y1"),
    ],
)
def test_wrong_argument_is_refused_with_what_would_be_right(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ImageStyle(**arguments)


def test_longer_side_is_as_wide_as_asked_and_pixels_are_square() -> None:
    assert fitting((1024, 512), 300) == (150, 300)
    assert fitting((2, 4096), 512) == (512, 1)
    assert fitting((32, 32), 512) == (512, 512)


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_gradient_goes_from_the_first_colour_to_the_last(name: Any) -> None:
    stops = re.findall("#([0-9a-f]{6})", ImageStyle(colours=name).gradient())
    table = colour_table(name)
    assert bytes.fromhex(stops[0]) == bytes(table[0])
    assert bytes.fromhex(stops[-1]) == bytes(table[-1])
