"""Partial readouts in order: the same rows and counts as for the same items in any other order."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.tpc.frames import ordered_kernels
from std_daq.tpc.frames.decode import key_table, new_item_counts
from std_daq.tpc.frames.encode import EventHeader, FrameFormat, encode_items, partial_items
from std_daq.tpc.frames.event_decoder import EventDecoder
from std_daq.tpc.frames.frame import Frame, parse_frame
from std_daq.tpc.frames.records import ItemCount
from std_daq.tpc.pads.channel_map import ChannelMap, MappedChannel
from std_daq.tpc.pads.plane import PadPlane

RANKS = np.where(key_table(np.arange(272)) < 0, 272, key_table(np.arange(272)))
PLANE = PadPlane(
    ChannelMap.of([MappedChannel(1, 2, aget, c, 0, 900 - 60 * aget - c) for aget in (0, 1, 3) for c in range(50)])
)


def ordered_items(n_channels: int, n_buckets: int, seed: int = 0) -> NDArray[np.uint32]:
    rng = np.random.default_rng(seed)
    channels = rng.permutation(272)[:n_channels]
    buckets = np.repeat(np.arange(n_buckets), n_channels)
    agets, numbers = np.tile(channels // 68, n_buckets), np.tile(channels % 68, n_buckets)
    return partial_items(agets, numbers, buckets, rng.integers(0, 4096, len(buckets)))


def frame_of(items: NDArray[np.uint32], frame_format: FrameFormat) -> Frame:
    frame = parse_frame(encode_items(EventHeader(1, 1, (1, 2)), items, frame_format))
    assert isinstance(frame, Frame)
    return frame


def decoded(items: NDArray[np.uint32], frame_format: FrameFormat) -> tuple[NDArray[np.int16], dict[ItemCount, int]]:
    decoder = EventDecoder(PLANE)
    decoder.decode([frame_of(ordered_items(272, 512, 9), frame_format)])  # whose samples must not be seen again
    before = decoder.item_counts
    n_rows = decoder.plan([frame_of(items, frame_format)])
    matrix = np.full((n_rows, 517), -7, np.int16)
    decoder.fill(matrix)
    return matrix, {count: n - before[count] for count, n in decoder.item_counts.items()}


def n_channels_in_order(items: NDArray[np.uint32], *, is_swapped: bool = False) -> tuple[int, int]:
    """Return what the kernel says, and how many flags it has set."""
    flags = np.zeros(273, np.uint8)
    found = ordered_kernels.mark_ordered(items.byteswap() if is_swapped else items, is_swapped, RANKS, flags)
    return int(found), int(flags.sum())


@given(
    st.sampled_from([1, 2, 7, 34, 271, 272]), st.sampled_from([1, 31, 32, 33, 64, 511, 512]), st.booleans(),
    st.sampled_from([64, 256]), st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_rows_and_counts_are_those_of_the_items_in_any_order(
    n_channels: int, n_buckets: int, is_little: bool, block: int, seed: int
) -> None:
    items = ordered_items(n_channels, n_buckets, seed)
    for is_swapped in (False, True):
        assert n_channels_in_order(items, is_swapped=is_swapped) == (n_channels, n_channels)
    frame_format = FrameFormat(block, is_little)
    matrix, counts = decoded(items, frame_format)
    shuffled = np.random.default_rng(seed).permutation(items)
    other, other_counts = decoded(shuffled, frame_format)
    np.testing.assert_array_equal(matrix, other)
    assert counts == other_counts


def swapped_items(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    items[[500, 501]] = items[[501, 500]]
    return items


def without_one(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.delete(items, 900)


def without_the_first_bucket(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return items[5:]


def without_a_bucket(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.delete(items, slice(500, 505))


def one_twice(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.insert(items, 0, items[0])


def channel_that_does_not_exist(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    items[::5] |= 0x7F << 23
    return items


def unused_bit(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    items[700] |= 1 << 13
    return items


def unused_bit_everywhere(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return items | np.uint32(1 << 12)


def all_twice(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.append(items, items)


def nothing(items: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return items[:0]


@pytest.mark.parametrize(
    "change",
    [
        swapped_items, without_one, without_the_first_bucket, without_a_bucket, one_twice, channel_that_does_not_exist,
        unused_bit, unused_bit_everywhere, all_twice, nothing,
    ],
)  # fmt: skip
def test_any_other_frame_is_not_in_order(change: Any) -> None:
    items = np.ascontiguousarray(change(ordered_items(5, 512)))
    for is_swapped in (False, True):
        assert n_channels_in_order(items, is_swapped=is_swapped) == (0, 0)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_the_kernels_do_the_same_as_plain_python(is_swapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    items = ordered_items(3, 40)
    compiled = run_kernels(items, is_swapped)
    for name, value in vars(ordered_kernels).items():
        if hasattr(value, "py_func"):
            monkeypatch.setattr(ordered_kernels, name, value.py_func)
    for one, other in zip(run_kernels(items, is_swapped), compiled, strict=True):
        np.testing.assert_array_equal(one, other)


def run_kernels(items: NDArray[np.uint32], is_swapped: bool) -> list[Any]:
    given_items = items.byteswap() if is_swapped else items
    flags, counts = np.zeros(273, np.uint8), new_item_counts()
    n_channels = ordered_kernels.mark_ordered(given_items, is_swapped, RANKS, flags)
    rows = np.full(273, -1)
    chosen = np.flatnonzero(flags[:272])[1:]  # one of the channels has no row
    rows[chosen] = np.arange(len(chosen))
    matrix = np.full(len(chosen) * 517, -7, np.int16)
    heads = np.arange(512 * 5, dtype=np.int16).reshape(512, 5)
    scratch = np.zeros(ordered_kernels.N_SCRATCH, np.uint64)
    ordered_kernels.fill_ordered(given_items, is_swapped, n_channels, RANKS, rows, heads, matrix, counts, scratch)
    return [n_channels, flags, matrix, counts]
