"""Small pictures of images."""

import numpy as np

from std_web.filed_images.drawing import reduce_to


def test_picture_is_as_wide_for_its_height_as_the_image() -> None:
    pixels = np.zeros((100, 1000), np.float32)
    pixels[99, 999] = 7
    pixels[:50, :500] = np.nan
    small = reduce_to(pixels, 64)
    assert small.shape == (6, 64)
    assert small[-1, -1] == 7
    assert np.isnan(small[0, 0])
    assert reduce_to(pixels[:, :60], 100).shape == (100, 60)
    assert reduce_to(np.ones((1, 1000), np.float32), 10).shape == (1, 10)


def test_pixels_without_value_do_not_hide_the_others_of_their_bin() -> None:
    pixels = np.full((4, 4), np.nan, np.float32)
    pixels[0, 0] = 3
    assert reduce_to(pixels, 2)[0, 0] == 3
