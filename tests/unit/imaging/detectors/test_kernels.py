"""Kernels against plain numpy, bit for bit: all gains, flips, gaps, missing units, shapes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.imaging.detectors.eiger.kernels import place_nibbles, place_packed
from std_daq.imaging.detectors.gigafrost.geometry import LinkRows
from std_daq.imaging.detectors.gigafrost.kernels import unpack_rows
from std_daq.imaging.detectors.jungfrau.kernels import BLOCK, FEW, correct_to_counts, correct_to_energy
from std_daq.imaging.detectors.kernels import place_chips
from std_daq.imaging.detectors.module_map import ChipGrid, Placement
from std_daq.imaging.detectors.packed_pixels import packed_12_bits

UNTOUCHED = 77
grids = st.builds(
    lambda chip, n_rows, n_columns, gap: ChipGrid(rows=n_rows * chip, columns=n_columns * chip, chip=chip, gap=gap),
    st.sampled_from([1, 2, 6, 16, 33]),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(0, 3),
)
directions = st.sampled_from([1, -1])
bitmaps = st.integers(0, 2**128 - 1)
seeds = st.integers(0, 2**32 - 1)


def placement(grid: ChipGrid, y_step: int, x_step: int) -> Placement:
    height, width = grid.size
    return Placement(1 if y_step > 0 else height, 2 if x_step > 0 else width + 1, y_step, x_step, height, width)


def canvas(grid: ChipGrid, dtype: Any) -> NDArray[Any]:
    """Return an image with a margin, which is to stay as it is."""
    height, width = grid.size
    return np.full((height + 2, width + 5), UNTOUCHED, dtype)


def placed(grid: ChipGrid, at: Placement, values: NDArray[Any]) -> NDArray[Any]:
    image = canvas(grid, values.dtype)
    grid.place(values, at.view(image))
    return image


def placed_rows(grid: ChipGrid, at: Placement, values: NDArray[Any], first_row: int) -> NDArray[Any]:
    """Return an image with only some rows of a module, from ``first_row`` on."""
    whole = np.full((grid.rows, grid.columns), UNTOUCHED, values.dtype)
    whole[first_row : first_row + len(values)] = values
    return placed(grid, at, whole)


def words(bitmap: int) -> NDArray[np.uint64]:
    return np.array([bitmap & (2**64 - 1), bitmap >> 64], np.uint64)


def arrived(bitmap: int, rows: int, rows_per_unit: int) -> NDArray[np.bool_]:
    return np.array([bool(bitmap >> (row // rows_per_unit) & 1) for row in range(rows)])[:, None]


def steps(at: Placement) -> tuple[int, int, int, int]:
    return at.y_first, at.x_first, at.y_step, at.x_step


@settings(max_examples=60, deadline=None)
@given(grids, directions, directions, st.sampled_from([np.uint8, np.uint16, np.uint32]), bitmaps, seeds)
def test_chips_are_placed_as_numpy_places_them(
    grid: ChipGrid, y_step: int, x_step: int, dtype: type, bitmap: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (grid.rows, grid.columns)).astype(dtype)
    first_row = int(rng.integers(0, grid.rows))
    n_rows = int(rng.integers(1, grid.rows - first_row + 1))
    n_chips = n_rows * grid.columns // grid.chip
    chips_per_unit = -(-n_chips // 128) + seed % 7  # also less than a row of the module, or a row and a half
    at, image = placement(grid, y_step, x_step), canvas(grid, dtype)
    rows = pixels[first_row : first_row + n_rows]
    place_chips(rows, words(bitmap), chips_per_unit, first_row, grid.chip, grid.gap, image, *steps(at), dtype(9))

    has_arrived = [bool(bitmap >> (chip // chips_per_unit) & 1) for chip in range(n_chips)]
    values = np.where(np.repeat(has_arrived, grid.chip).reshape(rows.shape), rows, dtype(9))
    np.testing.assert_array_equal(image, placed_rows(grid, at, values, first_row))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("chip", [1, 63, 64, 65, 200])
def test_rows_of_every_length_are_placed_at_every_offset_from_a_cache_line(dtype: type, chip: int) -> None:
    """The first and last pixels of the image included: what lies before and after it stays as it is."""
    size = np.dtype(dtype).itemsize
    pixels = np.random.default_rng(chip).integers(0, 256, (chip, 2 * chip)).astype(dtype)
    n_bytes = 2 * chip * chip * size
    for offset in range(0, 64, size):
        memory = np.full(n_bytes + 3 * 64, UNTOUCHED, np.uint8)
        start = -memory.ctypes.data % 64 + offset
        image = memory[start : start + n_bytes].view(dtype).reshape(chip, 2 * chip)
        place_chips(pixels, words(2**128 - 1), chip, 0, chip, 0, image, 0, 0, 1, 1, dtype(9))
        assert image.tobytes() == pixels.tobytes()
        assert set(memory[:start]) | set(memory[start + n_bytes :]) == {UNTOUCHED}


@settings(max_examples=60, deadline=None)
@given(grids.filter(lambda grid: grid.chip % 2 == 0), directions, directions, bitmaps, seeds)
def test_pixels_of_12_bits_are_unpacked_and_filled_where_one_of_their_packets_is_missing(
    grid: ChipGrid, y_step: int, x_step: int, bitmap: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 4096, (grid.rows, grid.columns)).astype(np.uint16)
    packed = packed_12_bits(pixels)
    unit_bytes = -(-packed.size // 128) + seed % 40
    at, image = placement(grid, y_step, x_step), canvas(grid, np.uint16)
    place_packed(packed, words(bitmap), unit_bytes, grid.chip, grid.gap, image, *steps(at), np.uint16(9))

    first_bit = 12 * np.arange(pixels.size)
    has_arrived = np.array([bool(bitmap >> unit & 1) for unit in range(128)])
    is_whole = has_arrived[first_bit // 8 // unit_bytes] & has_arrived[(first_bit + 11) // 8 // unit_bytes]
    values = np.where(is_whole.reshape(pixels.shape), pixels, np.uint16(9))
    np.testing.assert_array_equal(image, placed(grid, at, values))


@settings(max_examples=60, deadline=None)
@given(grids.filter(lambda grid: grid.chip % 2 == 0), directions, directions, bitmaps, seeds)
def test_nibbles_are_unpacked_low_one_first(grid: ChipGrid, y_step: int, x_step: int, bitmap: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 16, (grid.rows, grid.columns)).astype(np.uint8)
    packed = pixels[:, 0::2] | pixels[:, 1::2] << 4
    at, image, rows_per_unit = placement(grid, y_step, x_step), canvas(grid, np.uint8), 1 + seed % 3
    place_nibbles(packed, words(bitmap), rows_per_unit, grid.chip, grid.gap, image, *steps(at), np.uint8(9))
    values = np.where(arrived(bitmap, grid.rows, rows_per_unit), pixels, np.uint8(9))
    np.testing.assert_array_equal(image, placed(grid, at, values))


@pytest.mark.parametrize("chip", [2, 62, 64, 66, 130, 256])
@pytest.mark.parametrize("y_step", [1, -1])
def test_nibbles_of_every_number_are_unpacked_at_every_offset_from_a_cache_line(chip: int, y_step: int) -> None:
    """More rows than are asked for ahead; odd offsets too, where lines begin in the middle of a pair."""
    rows = 20
    pixels = np.random.default_rng(chip).integers(0, 16, (rows, chip)).astype(np.uint8)
    packed = pixels[:, 0::2] | pixels[:, 1::2] << 4
    for offset in range(64):
        memory = np.full(64 + offset + rows * chip + 64, UNTOUCHED, np.uint8)
        start = -memory.ctypes.data % 64 + offset
        end = start + rows * chip
        image = memory[start:end].reshape(rows, chip)
        y_first = 0 if y_step > 0 else rows - 1
        place_nibbles(packed, words(2**128 - 1), 4, chip, 0, image, y_first, 0, y_step, 1, np.uint8(9))
        np.testing.assert_array_equal(image, pixels[::y_step])
        assert (memory[:start] == UNTOUCHED).all()
        assert (memory[end:] == UNTOUCHED).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 70), st.sampled_from([2, -2]), bitmaps, seeds)
def test_rows_of_12_bits_are_unpacked_whatever_their_width(
    rows: int, n_pairs: int, y_step: int, bitmap: int, seed: int
) -> None:
    raw = np.random.default_rng(seed).integers(0, 4096, (rows, 2 * n_pairs)).astype(np.uint16)
    at = LinkRows(0 if y_step > 0 else 2 * rows - 1, y_step, left=3, width=2 * n_pairs, height=rows)
    image = np.full((2 * rows, 2 * n_pairs + 5), UNTOUCHED, np.uint16)
    expected = image.copy()
    unpack_rows(packed_12_bits(raw), words(bitmap), image, at.y_first, y_step, 3, np.uint16(8))
    at.view(expected)[:] = np.where(arrived(bitmap, rows, 1), raw, np.uint16(8))
    np.testing.assert_array_equal(image, expected)


# Chips that fill blocks of the table of code 0, and chips that share one.
correction_grids = st.one_of(
    st.builds(
        lambda per_chip, columns, gap: ChipGrid(
            2 * BLOCK * per_chip, columns * BLOCK * per_chip, BLOCK * per_chip, gap
        ),
        st.integers(1, 2),
        st.integers(1, 3),
        st.integers(0, 2),
    ),
    st.builds(lambda n: ChipGrid(16, 16 * n, 16, 2), st.sampled_from([1, 2, 4])),
)
# None, few and many pixels of a stretch in other gains; 1 is any 16 bits, the code that does not exist included.
shares = st.sampled_from([0, 0.01, FEW / BLOCK, 0.3, 1])


def blocks_of_code_0(table: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = table.shape[:2]
    width = min(BLOCK, columns)
    return np.concatenate(
        [table[:, x : x + width, 0, number] for x in range(0, columns, width) for number in (0, 1)], axis=1
    ).reshape(rows, 2 * columns)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@settings(max_examples=60, deadline=None)
@given(grid=correction_grids, y_step=directions, x_step=directions, share=shares, bitmap=bitmaps, seed=seeds)
def test_corrections_are_those_of_numpy_to_the_last_bit(
    dtype: type, grid: ChipGrid, y_step: int, x_step: int, share: float, bitmap: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (grid.rows, grid.columns)
    first_row = int(rng.integers(0, grid.rows))
    raw = rng.integers(0, 2**16, shape).astype(np.uint16)
    raw[rng.random(shape) >= share] &= 0x3FFF
    table = rng.normal(100, 50, (*shape, 4, 2)).astype(np.float32)
    table[rng.random((*shape, 4)) < 0.01] = np.nan  # masked
    table[:, :, 2] = np.nan
    table[rng.random(shape) < 0.01, :, 1] = rng.choice([1e30, -1e30, 0.0])
    at, image, fill, factor = placement(grid, y_step, x_step), canvas(grid, dtype), dtype(-9), np.float32(3.7)
    tables = blocks_of_code_0(table)[first_row:], table.reshape(grid.rows, -1)[first_row:]
    rows = raw[first_row:]
    if dtype is np.float32:
        correct_to_energy(rows, words(bitmap), 4, first_row, grid.chip, grid.gap, *tables, image, *steps(at), fill)
    else:
        correct_to_counts(
            rows, words(bitmap), 4, first_row, grid.chip, grid.gap, *tables, factor, image, *steps(at), fill
        )

    used = np.take_along_axis(table, (raw >> 14).astype(int)[:, :, None, None], axis=2)[:, :, 0]
    values = ((raw & 0x3FFF).astype(np.float32) - used[..., 0]) * used[..., 1]
    if dtype is np.int32:
        values = np.clip(np.rint(values / factor), np.float32(-(2**31)), np.float32(2**31 - 128))
    values = values[first_row:]
    is_valid = arrived(bitmap, len(rows), 4) & ~np.isnan(values)
    values = np.where(is_valid, values, 0).astype(dtype)
    values[~is_valid] = fill
    assert image.tobytes() == placed_rows(grid, at, values, first_row).tobytes()
