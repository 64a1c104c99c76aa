"""Colours of values."""

import numpy as np

from std_daq.view3d.colours import spread, viridis


def test_the_ends_are_dark_blue_and_yellow_and_values_beyond_have_their_colours() -> None:
    assert viridis(np.array([-1.0, 0, 1, 2])).tolist() == [[68, 1, 84]] * 2 + [[253, 231, 37]] * 2
    brightness = viridis(np.linspace(0, 1, 50)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > 0).all()


def test_values_are_spread_over_the_colours_and_equal_ones_are_bright() -> None:
    assert spread(np.array([4.0, 2, 3])).tolist() == [1, 0, 0.5]
    assert spread(np.array([7.0, 7])).tolist() == [1, 1]
    assert spread(np.array([])).tolist() == []
