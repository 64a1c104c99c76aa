"""Colours of the labels of clusters, the same in every view."""

import colorsys
from typing import Final

from std_daq.view3d.colours import GREY

NOISE_CLASS: Final = 4096
"""Class of the points that belong to no cluster; all labels are below it."""

_TAB10 = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207),
)  # fmt: skip
_GREY_OF_TAB10 = 7
_SHADES = (0.0, 0.35, -0.3, 0.2, -0.15)


def label_colour(label: int) -> tuple[int, int, int]:
    """Return the colour of a label: the ten of tab10, and then lighter and darker shades of them.

    The grey of tab10 is a light green instead, because noise is grey.
    """
    base = (160, 220, 140) if label % 10 == _GREY_OF_TAB10 else _TAB10[label % 10]
    shade = _SHADES[label // 10 % len(_SHADES)]
    hue, lightness, saturation = colorsys.rgb_to_hls(*(value / 255 for value in base))
    lightness += shade * ((1 - lightness) if shade > 0 else lightness)
    red, green, blue = (round(255 * value) for value in colorsys.hls_to_rgb(hue, lightness, saturation))
    return red, green, blue


def class_colours() -> list[tuple[int, str, tuple[int, int, int]]]:
    """Return number, name and colour of every class, of noise last."""
    labels = [(label, f"cluster {label}", label_colour(label)) for label in range(NOISE_CLASS)]
    return [*labels, (NOISE_CLASS, "noise", GREY)]
