"""The pad plane of the AT-TPC, made by the rule that it follows: 10,240 equilateral triangles in rows.

Each half of the plane has 32 rows of triangles that alternately point up and down. Those in the middle, a hexagon, are
divided in four. Source of the sizes: the plane as attpc_spyral publishes it (padxy.csv), from which the rule was
derived; both agree to 0.0003 mm.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

N_PADS: Final = 10_240
BEAM_RADIUS_MM: Final = 20.0  # the "legacy beam pads" of the AT-TPC lie within it

_SIDE_MM: Final = 9.816478
_HEIGHT_MM: Final = _SIDE_MM * 3**0.5 / 2
# Triangles in each row of a half, from the middle of the plane outwards.
_ROW_LENGTHS: Final = (
    *(111, 111, 111, 111, 109, 109, 109, 109, 107, 107, 105, 103, 103, 101, 99, 97),
    *(95, 93, 91, 89, 85, 83, 79, 77, 73, 67, 63, 59, 53, 45, 37, 25),
)
_N_DIVIDED_ROWS: Final = 16
_BIG, _SMALL = 1.0, 0.5


def attpc_positions() -> NDArray[np.float64]:
    """Return x and y of each pad in mm, shape (10240, 2): the x of its triangle, and the y of the middle of its row."""
    upper = np.array([(x, y) for x, y, _ in _upper_half()])
    return np.concatenate([upper, upper * (1.0, -1.0)])


def attpc_scales() -> NDArray[np.float64]:
    """Return the scale of each pad: 1.0 for a big pad, 0.5 for a small one."""
    return np.tile([scale for _, _, scale in _upper_half()], 2)


def _upper_half() -> list[tuple[float, float, float]]:
    pads = []
    for row, n_triangles in enumerate(_ROW_LENGTHS):
        y = _HEIGHT_MM * (row + 0.5)
        middle = (n_triangles - 1) // 2
        n_divided = 63 - 2 * row if row < _N_DIVIDED_ROWS else 0
        for i in range(n_triangles):
            from_middle = i - middle
            x = from_middle * _SIDE_MM / 2
            if abs(from_middle) > n_divided // 2 or not n_divided:
                pads.append((x, y, _BIG))
                continue
            points_up = (row + from_middle) % 2 == 1  # the middle one points down in even rows
            base_y = y - _HEIGHT_MM / 4 if points_up else y + _HEIGHT_MM / 4
            tip_y = 2 * y - base_y
            quarter = _SIDE_MM / 4
            pads += [
                (x - quarter, base_y, _SMALL),
                (x, base_y, _SMALL),
                (x, tip_y, _SMALL),
                (x + quarter, base_y, _SMALL),
            ]
    return pads
