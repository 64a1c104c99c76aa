"""A window's view of an image, and what is asked about it, against plain numpy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from std_daq.imaging.display.kernels import MASKED, MISSING, SATURATED, count_values, measure, reduce_bins
from std_daq.imaging.display.reduction import (
    PERCENTILES,
    Region,
    RegionValues,
    clipped,
    histogram,
    measured,
    part,
    percentiles,
    reduced,
)

DTYPES = ["uint8", "uint16", "uint32", "int16", "int32", "float32", "float64"]
RARE_DTYPES = ["int8", "float16", "int64", "uint64"]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[np.uint8], Region, tuple[int, int]]:
    """An image with its mask, a region of it, and the size of a window."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    height, width = draw(st.integers(1, 17)), draw(st.integers(1, 17))
    if dtype.kind == "f":
        few = st.floats(-1000, 1000, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])
    else:
        limits = np.iinfo(str(dtype))
        few = st.integers(max(limits.min, -5), 5) | st.sampled_from([int(limits.min), int(limits.max)])
    pixels = draw(arrays.arrays(dtype, (height, width), elements=few))
    mask = draw(arrays.arrays(np.uint8, (height, width), elements=st.sampled_from([0, 0, 0, MISSING, MASKED])))
    corners = [draw(st.integers(-3, 20)) for _ in range(4)]
    size = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    return pixels, mask, clipped(corners, (height, width)), size


def bins_by_numpy(
    pixels: NDArray[Any], mask: NDArray[np.uint8], size: tuple[int, int], how: str, limit: float
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the value of each bin, or NaN, and its flags: each pixel is asked to which bin it belongs."""
    height, width = pixels.shape
    columns, rows = min(width, size[0]), min(height, size[1])
    row_of = np.arange(height) * rows // height
    column_of = np.arange(width) * columns // width
    values, flags = np.full((rows, columns), np.nan), np.zeros((rows, columns), np.uint8)
    for row in range(rows):
        for column in range(columns):
            place = np.ix_(row_of == row, column_of == column)
            inside, what = pixels[place].astype(np.float64), mask[place]
            good = inside[(what == 0) & np.isfinite(inside)]
            if good.size:
                values[row, column] = good.max() if how == "max" else good.mean()
                flags[row, column] = SATURATED if good.max() >= limit else 0
            else:
                flags[row, column] = MASKED if (what == MASKED).any() else MISSING
    return values, flags


@settings(deadline=None)  # the first one compiles
@given(scene=scenes(), how=st.sampled_from(["max", "mean"]), limit=st.sampled_from([None, 4.0, 65535.0]))
def test_bins_are_what_numpy_makes_of_the_pixels_that_count(
    scene: tuple[NDArray[Any], NDArray[np.uint8], Region, tuple[int, int]], how: Any, limit: float | None
) -> None:
    pixels, mask, region, size = scene
    found = reduced(pixels, mask, region, size, how=how, saturation=limit)
    x0, y0, x1, y1 = region
    is_plain = size[0] >= x1 - x0 and size[1] >= y1 - y0
    shown = part(pixels, region)
    values, flags = bins_by_numpy(shown, part(mask, region), size, how, np.inf if limit is None else limit)
    np.testing.assert_array_equal(found.flags, flags)
    has_value = flags & (MISSING | MASKED) == 0
    if is_plain:
        np.testing.assert_array_equal(found.values, shown.astype(found.values.dtype))
    else:
        expected = values[has_value].astype(found.values.dtype)
        np.testing.assert_allclose(found.values[has_value], expected, rtol=1e-6, atol=1e-4 if how == "mean" else 0)
    is_integer = pixels.dtype.kind != "f" and (how == "max" or is_plain)
    assert found.values.dtype == (pixels.dtype if is_integer else np.float32)


@settings(deadline=None)  # the first one compiles
@given(scene=scenes())
def test_measured_values_are_those_of_numpy(
    scene: tuple[NDArray[Any], NDArray[np.uint8], Region, tuple[int, int]],
) -> None:
    pixels, mask, region, _ = scene
    inside = part(pixels, region).astype(np.float64)
    good = inside[(part(mask, region) == 0) & np.isfinite(inside)]
    found = measured(pixels, mask, region)
    assert found.n == good.size
    assert found.sum == pytest.approx(good.sum(), abs=1e-6)
    assert (found.smallest, found.largest) == ((good.min(), good.max()) if good.size else (None, None))
    assert found.mean == (pytest.approx(good.mean(), abs=1e-6) if good.size else None)


@settings(deadline=None)  # the first one compiles
@given(scene=scenes())
def test_histogram_has_each_pixel_that_counts_once(
    scene: tuple[NDArray[Any], NDArray[np.uint8], Region, tuple[int, int]],
) -> None:
    pixels, mask, region, _ = scene
    of_all, at = measured(pixels, mask, region), percentiles(pixels, mask, region)
    found = histogram(pixels, mask, region, of_all, at)
    inside = part(pixels, region).astype(np.float64)
    good = inside[(part(mask, region) == 0) & np.isfinite(inside)]
    if found is None:
        assert good.size == 0
        return
    assert found.n_below + found.counts.sum() + found.n_above == good.size
    assert found.n_below == (good < found.low).sum() == 0
    assert found.n_above == (good >= found.high).sum()
    width = (found.high - found.low) / len(found.counts)
    if pixels.dtype.kind != "f":
        edges = found.low + width * np.arange(len(found.counts) + 1)
        assert width == int(width) >= 1
        np.testing.assert_array_equal(found.counts, np.histogram(good[good < found.high], edges)[0])


@pytest.mark.parametrize("ends", [(0.0, 5e-324), (-1.7e308, 1.7e308)])
def test_histogram_of_a_range_that_no_float_can_divide_counts_each_pixel_once(ends: tuple[float, float]) -> None:
    pixels, mask, region = np.array([[*ends, *ends]]), np.zeros((1, 4), np.uint8), (0, 0, 4, 1)
    of_all = RegionValues(4, 0.0, *ends)
    found = histogram(pixels, mask, region, of_all, dict.fromkeys(PERCENTILES, ends[1]))
    assert found is not None
    assert found.n_below + found.counts.sum() + found.n_above == 4


@settings(deadline=None)  # the first one compiles
@given(scene=scenes())
def test_percentiles_of_a_small_region_are_those_of_all_its_pixels(
    scene: tuple[NDArray[Any], NDArray[np.uint8], Region, tuple[int, int]],
) -> None:
    pixels, mask, region, _ = scene
    inside = part(pixels, region)
    good = inside[(part(mask, region) == 0) & np.isfinite(inside)]
    found = percentiles(pixels, mask, region)
    assert list(found) == (list(PERCENTILES) if good.size else [])
    if good.size:
        assert list(found.values()) == np.percentile(good, PERCENTILES, method="nearest").astype(float).tolist()


@pytest.mark.parametrize("is_compiled", [True, False], ids=["compiled", "python"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_do_the_same_compiled_and_as_python(is_compiled: bool, dtype: str) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 100, (11, 13)).astype(dtype)
    pixels[2:4, 2:5] = 120
    mask = rng.choice(np.array([0, 0, 0, MISSING, MASKED], np.uint8), (11, 13))
    rows, columns = np.array([0, 5, 11]), np.array([0, 4, 8, 13])
    values, flags = np.empty((2, 3)), np.empty((2, 3), np.uint8)
    bins, measuring, counting = (
        function if is_compiled else function.py_func for function in (reduce_bins, measure, count_values)
    )
    bins(pixels, mask, rows, columns, 120.0, False, values, flags, np.empty((3, 13)), np.empty(13, np.uint8))
    for row in range(2):
        for column in range(3):
            place = np.s_[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
            largest = pixels[place][mask[place] == 0].max()
            assert values[row, column] == largest
            assert flags[row, column] == (SATURATED if largest >= 120 else 0)
    good = pixels[mask == 0].astype(np.float64)
    found = np.empty(4)
    measuring(pixels, mask, found)
    assert found.tolist() == [good.size, good.sum(), good.min(), good.max()]
    counts = np.empty(7, np.int64)
    counting(pixels, mask, 10.0, 60.0, counts)
    inside = good[(good >= 10) & (good < 60)]
    assert counts.tolist() == [(good < 10).sum(), *np.histogram(inside, 5, (10, 60))[0], (good >= 60).sum()]


@pytest.mark.parametrize("dtype", [*DTYPES, *RARE_DTYPES])
def test_a_single_bright_pixel_is_seen_in_every_size_and_a_mean_flags_it_too(dtype: str) -> None:
    pixels = np.zeros((512, 1024), dtype)
    pixels[300, 700] = 100
    mask = np.zeros(pixels.shape, np.uint8)
    for size in [(1, 1), (3, 5), (100, 50), (1023, 511), (1024, 512), (4096, 4096)]:
        found = reduced(pixels, mask, (0, 0, 1024, 512), size, saturation=100.0)
        assert found.values.max() == 100
        assert (found.flags == SATURATED).sum() == 1
        (row,), (column,) = np.nonzero(found.values)
        rows, columns = found.values.shape
        assert (row, column) == (300 * rows // 512, 700 * columns // 1024)
    mean = reduced(pixels, mask, (0, 0, 1024, 512), (64, 64), how="mean", saturation=100.0)
    assert (mean.flags == SATURATED).sum() == 1
    assert mean.values.max() == pytest.approx(100 / (16 * 8))


def test_bins_without_a_pixel_that_counts_say_why() -> None:
    pixels = np.full((4, 4), 7.0, np.float32)
    pixels[:2, :2] = np.nan
    mask = np.zeros((4, 4), np.uint8)
    mask[:2, 2:] = MASKED
    mask[2:, :2] = MISSING
    mask[0, 0] = MASKED  # a masked pixel among missing ones
    pixels[3, 3] = np.inf
    found = reduced(pixels, mask, (0, 0, 4, 4), (2, 2), how="mean")
    assert found.flags.tolist() == [[MASKED, MASKED], [MISSING, 0]]
    assert np.isnan(found.values[0]).all()
    assert found.values[1, 1] == 7.0


def test_a_region_is_shown_pixel_by_pixel_where_the_window_is_large_enough() -> None:
    pixels = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)
    mask = np.zeros(pixels.shape, np.uint8)
    found = reduced(pixels, mask, (3, 2, 13, 8), (1000, 1000))
    assert found.region == (3, 2, 13, 8)
    np.testing.assert_array_equal(found.values, pixels[2:8, 3:13])
    pixels[:] = 0
    assert found.values[0, 0] == 63, "the values are a copy: the ring overwrites the pixels"


@given(corners=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=4, max_size=4))
def test_any_region_is_clipped_to_a_part_of_the_image(corners: list[int]) -> None:
    x0, y0, x1, y1 = clipped(corners, (40, 50))
    assert 0 <= x0 < x1 <= 50
    assert 0 <= y0 < y1 <= 40


def test_hot_pixels_do_not_press_all_others_into_one_bin_of_the_histogram() -> None:
    pixels = np.random.default_rng(0).poisson(20, (500, 500)).astype(np.uint32)
    pixels[10, 10] = 2**32 - 1
    mask = np.zeros(pixels.shape, np.uint8)
    region = (0, 0, 500, 500)
    found = histogram(pixels, mask, region, measured(pixels, mask, region), percentiles(pixels, mask, region))
    assert found is not None
    assert found.n_above >= 1
    assert (found.counts > 0).sum() > 20


def test_percentiles_of_a_large_image_are_near_those_of_all_pixels() -> None:
    pixels = np.random.default_rng(0).normal(100, 10, (2000, 2000)).astype(np.float32)
    found = percentiles(pixels, np.zeros(pixels.shape, np.uint8), (0, 0, 2000, 2000))
    exact = np.percentile(pixels, [1, 50, 99])
    np.testing.assert_allclose([found[1.0], found[50.0], found[99.0]], exact, atol=0.3)
