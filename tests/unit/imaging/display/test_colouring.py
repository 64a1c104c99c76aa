"""Colours of pictures that the server makes."""

import numpy as np
import pytest

from std_daq.imaging.display.colour_maps import COLOUR_MAPS, colour_table
from std_daq.imaging.display.colouring import (
    FAULT_COLOURS,
    ColourMap,
    Scale,
    coloured,
    usual_limits,
)
from std_daq.imaging.display.kernels import MASKED, MISSING, SATURATED
from std_daq.imaging.display.reduction import ReducedImage


def image_of(values: list[float], flags: list[int] | None = None) -> ReducedImage:
    return ReducedImage(
        (0, 0, len(values), 1), np.array([values], np.float32), np.array([flags or [0] * len(values)], np.uint8)
    )


def luminance(colours: np.ndarray) -> np.ndarray:
    """Return the relative luminance of colours of sRGB (IEC 61966-2-1)."""
    share = colours / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_each_map_grows_brighter_or_darker_all_the_way(name: ColourMap) -> None:
    table = colour_table(name)
    assert table.shape == (256, 3)
    steps = np.diff(luminance(table)) * (-1 if name == "grey, inverted" else 1)
    assert steps.min() > -1e-3
    assert luminance(table)[[0, -1]].max() > 0.6


@pytest.mark.parametrize("scale", ["linear", "sqrt", "log"])
def test_the_limits_are_the_ends_of_the_map_and_values_beyond_them_too(scale: Scale) -> None:
    shown = coloured(image_of([-5.0, 10.0, 60.0, 110.0, 1e9]), 10.0, 110.0, scale=scale, colours="grey")[0, :, 0]
    assert shown[[0, 1, 3, 4]].tolist() == [0, 0, 255, 255]
    assert shown[2] == {"linear": 128, "sqrt": 180, "log": 217}[scale]


def test_bins_without_a_value_and_saturated_ones_have_colours_of_their_own() -> None:
    flags = [MISSING, MASKED, SATURATED, 0]
    shown = coloured(image_of([np.nan, np.nan, 3.0, 3.0], flags), 0.0, 10.0)
    assert [tuple(colour) for colour in shown[0, :3].tolist()] == [FAULT_COLOURS[flag] for flag in flags[:3]]
    assert tuple(shown[0, 3].tolist()) not in FAULT_COLOURS.values()


def test_equal_limits_and_empty_images_are_shown_without_an_error() -> None:
    assert coloured(image_of([1.0, 2.0, 3.0]), 2.0, 2.0, colours="grey")[0, :, 0].tolist() == [0, 0, 255]
    assert usual_limits({}, None) == (0.0, 1.0)


def test_usual_limits_show_a_few_photons_in_an_image_of_zeros() -> None:
    zeros = dict.fromkeys((1.0, 99.0, 99.9), 0.0)
    assert usual_limits(zeros, 3.0) == (0.0, 3.0)
    assert usual_limits(zeros, 0.0) == (0.0, 1.0)
    assert usual_limits({1.0: 2.0, 99.0: 50.0, 99.9: 60.0}, 1e6) == (2.0, 50.0)
