"""How the boards of a telescope are turned, and where they lie in an image."""

from std_daq.telescope.boards.options import Orientation
from std_daq.telescope.boards.packets import EDGE

PLACES = ((0, 0), (0, EDGE), (EDGE, EDGE), (EDGE, 0))
"""Upper left corner (row, column) of each quarter in an image of four boards."""

QUARTER_TURNS: dict[Orientation, tuple[int, int, int, int]] = {
    "until-2025-07": (1, 2, 3, 0),
    "since-2025-07": (0, 1, 2, 3),
    "none": (0, 0, 0, 0),
}
"""By how many quarter turns, clockwise, the pixels of each quarter are turned."""
