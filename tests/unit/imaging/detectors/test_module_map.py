from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.errors import ConfigError
from std_daq.imaging.config import DetectorConfig
from std_daq.imaging.detectors.module_map import ChipGrid, Placement, place_modules

SIZES = [(4, 6), (6, 8)]


def config(positions: dict[int, tuple[int, int, int, int]], n_modules: int = 1, **other: Any) -> DetectorConfig:
    values = {"image_pixel_height": 20, "image_pixel_width": 30, **other}
    return DetectorConfig(
        detector_name="D",
        detector_type="eiger",
        n_modules=n_modules,
        bit_depth=16,
        start_udp_port=50000,
        module_positions=positions,
        **values,
    )


def test_corners_are_inclusive_and_the_first_is_pixel_0_0() -> None:
    assert Placement.from_position((2, 3, 7, 6)) == Placement(3, 2, 1, 1, height=4, width=6)


@pytest.mark.parametrize(
    ("position", "corner"),
    [((2, 3, 7, 6), (3, 2)), ((7, 3, 2, 6), (3, 7)), ((2, 6, 7, 3), (6, 2)), ((7, 6, 2, 3), (6, 7))],
)
def test_a_flipped_module_is_viewed_from_its_own_corner(
    position: tuple[int, int, int, int], corner: tuple[int, int]
) -> None:
    image = np.arange(600).reshape(20, 30)
    view = Placement.from_position(position).view(image)
    assert view.shape == (4, 6)
    assert view[0, 0] == image[corner]
    assert np.isin(view, image[3:7, 2:8]).all()


def test_a_flipped_module_may_touch_the_edge_of_the_image() -> None:
    image = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(Placement.from_position((5, 3, 0, 0)).view(image), image[::-1, ::-1])


def test_one_module_without_position_is_the_whole_image() -> None:
    placed = place_modules(config({}, image_pixel_height=6, image_pixel_width=8), SIZES)
    assert placed == (Placement(0, 0, 1, 1, height=6, width=8),)


def test_one_module_without_position_has_to_be_of_the_size_of_the_image() -> None:
    with pytest.raises(ConfigError, match=r"key 'module_positions': .*30 x 20 pixels; .*make the image 6 x 4 or 8 x 6"):
        place_modules(config({}), SIZES)


def test_modules_without_position_are_named() -> None:
    with pytest.raises(ConfigError, match="key 'module_positions': modules without position: 0, 2"):
        place_modules(config({1: (0, 0, 5, 3)}, 3), SIZES)


def test_a_module_of_the_wrong_size_is_named_with_its_position_and_the_right_size() -> None:
    with pytest.raises(ConfigError, match=r"module_positions.1': .* 7 x 4 .*got \[10, 0, 16, 3\]\); .*6 x 4 \("):
        place_modules(config({0: (0, 0, 5, 3), 1: (10, 0, 16, 3)}, 2), SIZES)


def test_modules_of_different_allowed_sizes_do_not_mix() -> None:
    with pytest.raises(ConfigError, match=r"module_positions\.1'"):
        place_modules(config({0: (0, 0, 5, 3), 1: (10, 0, 17, 5)}, 2), SIZES)


@pytest.mark.parametrize("second", [(5, 3, 10, 6), (0, 0, 5, 3), (5, 3, 0, 0), (0, 6, 5, 3)])
def test_overlapping_modules_are_refused(second: tuple[int, int, int, int]) -> None:
    with pytest.raises(ConfigError, match=r"module_positions.1': the module overlaps module 0"):
        place_modules(config({0: (0, 0, 5, 3), 1: second}, 2), SIZES)


@given(
    st.tuples(st.integers(0, 24), st.integers(0, 16)), st.tuples(st.integers(0, 24), st.integers(0, 16)), st.booleans()
)
def test_modules_are_refused_exactly_when_they_share_a_pixel(
    first: tuple[int, int], second: tuple[int, int], is_flipped: bool
) -> None:
    x, y = second
    one = (first[0], first[1], first[0] + 5, first[1] + 3)
    two = (x + 5, y + 3, x, y) if is_flipped else (x, y, x + 5, y + 3)
    owners = np.zeros((20, 30), int)
    for position in (one, two):
        Placement.from_position(position).view(owners)[:] += 1
    try:
        place_modules(config({0: one, 1: two}, 2), SIZES)
    except ConfigError:
        assert owners.max() == 2
    else:
        assert owners.max() == 1


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 3))
def test_chips_are_taken_back_as_they_were_placed_and_gaps_stay(n_rows: int, n_columns: int, gap: int) -> None:
    grid = ChipGrid(rows=4 * n_rows, columns=4 * n_columns, chip=4, gap=gap)
    raw = np.arange(1, grid.rows * grid.columns + 1).reshape(grid.rows, grid.columns)
    rectangle = np.zeros(grid.size, int)
    grid.place(raw, rectangle)
    np.testing.assert_array_equal(grid.take(rectangle), raw)
    assert (rectangle > 0).sum() == raw.size
    if n_columns > 1:
        assert (rectangle[:, 4 : 4 + gap] == 0).all()
        assert rectangle[0, 4 + gap] == raw[0, 4]
