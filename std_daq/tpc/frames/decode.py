"""Decodes a frame into the samples of its board."""

import sys

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import N_AGETS, N_CHANNELS, N_TIME_BUCKETS
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.item_kernels import NO_CHANNEL, NO_SAMPLE, place_full, place_partial
from std_daq.tpc.frames.records import CHANNEL_BITS, N_ITEM_COUNTS, N_KEYS, PARTIAL, ItemCount

_IS_LITTLE_MACHINE = sys.byteorder == "little"


def new_item_counts() -> NDArray[np.int64]:
    """Return counts of items, all 0, with the places of `ItemCount`."""
    return np.zeros(N_ITEM_COUNTS, np.int64)


def key_table(of_channels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return a table for kernels from one entry for each channel of a board, index aget * 68 + channel."""
    table = np.full((N_AGETS, 1 << CHANNEL_BITS), NO_CHANNEL, np.int64)
    table[:, :N_CHANNELS] = of_channels.reshape(N_AGETS, N_CHANNELS)
    return table.reshape(N_KEYS)


def is_swapped(frame: Frame) -> bool:
    """Return whether the items of a frame are in the other byte order than that of the machine."""
    return frame.is_little_endian != _IS_LITTLE_MACHINE


def place_items(frame: Frame, table: NDArray[np.int64], samples: NDArray[np.int16], counts: NDArray[np.int64]) -> None:
    """Place the items of a frame with samples; parameters as those of `place_partial`."""
    place = place_partial if frame.frame_type == PARTIAL else place_full
    place(frame.items, is_swapped(frame), table, samples, counts)


def decode_board(frame: Frame) -> tuple[NDArray[np.int16], dict[ItemCount, int]]:
    """Return the samples of a frame, int16 of shape (4, 68, 512), and what was counted.

    The axes are AGET, channel, time bucket; -1 stands where no sample has come. FPN channels are decoded as all others.
    """
    samples = np.full((N_AGETS, N_CHANNELS, N_TIME_BUCKETS), NO_SAMPLE, np.int16)
    counts = new_item_counts()
    firsts = np.arange(N_AGETS * N_CHANNELS) * N_TIME_BUCKETS
    place_items(frame, key_table(firsts), samples.reshape(-1), counts)
    return samples, {count: int(counts[count]) for count in ItemCount}
