"""The pixels of an ImageBuffer on their way into a message: every type, binned and not."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_live_view.live_frame import FrameKey, LiveFrame
from std_live_view.sources.image_buffer_source import PRODUCT, as_integers, bin_to

INTEGERS = ("u1", "i1", "u2", "i2", "u4", "i4")


def carried(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the pixels that a client reads: the numbers of a message, as the integers of `bytes_per_pixel` bytes."""
    frame = LiveFrame(
        FrameKey(1, PRODUCT),
        is_pulse_height=False,
        header={"dtype": str(pixels.dtype)},
        pixels=as_integers(pixels),
        file="",
        frame_number=0,
        server_ns=0,
    )
    image = messages.StreamImagesResponse.FromString(frame.message).pano_image
    unsigned = np.array(image.image_array, np.uint32).astype(f"u{image.bytes_per_pixel}").reshape(tuple(image.shape))
    told = np.dtype(image.header["dtype"])
    is_signed = told.kind == "i" and told.itemsize == image.bytes_per_pixel
    return unsigned.view(f"i{image.bytes_per_pixel}") if is_signed else unsigned


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_of_every_type_are_carried_bit_for_bit(dtype: str) -> None:
    limits = np.iinfo(dtype)
    pixels = np.array([[limits.min, limits.max, 0], [1, limits.max // 2, limits.min // 2]], dtype)
    np.testing.assert_array_equal(carried(pixels), pixels)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_binned_integers_keep_their_type_and_sign(dtype: str) -> None:
    low = np.iinfo(dtype).min // 2
    pixels = np.array([[low, low, 10, 20], [low, low, 30, 40], [9, 9, 9, 9]], dtype)
    binned, n = bin_to(pixels, 2)
    assert (n, binned.dtype) == (2, np.dtype(dtype))
    np.testing.assert_array_equal(carried(binned), [[low, 25]])


def test_bad_pixels_of_a_float_image_are_zero_and_count_in_no_bin() -> None:
    pixels = np.array([[4.6, np.nan], [-3.0, 1e20]], "f4")
    np.testing.assert_array_equal(carried(pixels), [[5, 0], [0, 2**32 - 256]])  # the largest that 32 bits hold
    pixels = np.array([[1.0, np.nan, np.nan, np.nan], [3.0, np.inf, np.nan, np.nan]], "f4")
    binned, _ = bin_to(pixels, 2)
    np.testing.assert_array_equal(carried(binned), [[2, 0]])


@pytest.mark.parametrize("dtype", ["u8", "i8", "f8"])
def test_numbers_that_are_too_long_are_clipped(dtype: str) -> None:
    np.testing.assert_array_equal(carried(np.array([[5, 2**40]], dtype)), [[5, 2**32 - 1]])
