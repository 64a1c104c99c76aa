"""Items of frames, compiled: where each sample belongs.

Tables have an entry for each key, AGET * 128 + channel, as both stand in an item of 4 bytes. The entries of channels
that do not exist, 68 and above, are `NO_CHANNEL`.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit
from std_daq.tpc.electronics import CHANNELS_PER_BOARD, N_AGETS, N_CHANNELS, N_TIME_BUCKETS
from std_daq.tpc.frames.records import CHANNEL_BITS, N_KEYS, ItemCount

NOWHERE = -1
NO_CHANNEL = -2
# A time bucket for which no sample has come; samples have 12 bits.
NO_SAMPLE = -1

_WORDS = types.Array(types.uint32, 1, "C", readonly=True)
_HALF_WORDS = types.Array(types.uint16, 1, "C", readonly=True)
_TABLE = types.Array(types.int64, 1, "C", readonly=True)
_COUNTS = types.Array(types.int64, 1, "C")
_SAMPLES = types.Array(types.int16, 1, "C")
_FLAGS = types.Array(types.uint8, 1, "C")

_SAMPLE, _UNMAPPED, _BAD_CHANNEL = map(int, (ItemCount.SAMPLE, ItemCount.UNMAPPED, ItemCount.BAD_CHANNEL))
_DOUBLED, _SURPLUS, _UNUSED_BITS = map(int, (ItemCount.DOUBLED, ItemCount.SURPLUS, ItemCount.UNUSED_BITS))

_SAMPLE_MASK = 0xFFF
# Of an item of 2 bytes.
_AGET = 0xC000
_UNUSED = 0x3000
# Time buckets that are turned at once: their items lie in the first level of the cache.
_TURNED = 32

Samples = NDArray[np.int16]
Table = NDArray[np.int64]
Counts = NDArray[np.int64]


@njit(inline="always")
def _swap4(word: int) -> int:
    return (word << 24 | (word & 0xFF00) << 8 | word >> 8 & 0xFF00 | word >> 24) & 0xFFFFFFFF


@njit(inline="always")
def _swap2(word: int) -> int:
    return (word << 8 | word >> 8) & 0xFFFF


@kernel(types.void(_WORDS, types.boolean, _TABLE, _SAMPLES, _COUNTS))
def place_partial(items: NDArray[np.uint32], is_swapped: bool, table: Table, samples: Samples, counts: Counts) -> None:
    """Place the items of a partial readout; the later one of two for the same sample counts.

    Parameters
    ----------
    is_swapped
        Whether the items are in the other byte order than that of the machine.
    table
        First sample of each key, index into ``samples``.
    samples
        512 samples for each channel in the table; `NO_SAMPLE` where none has come.
    counts
        Counts with the places of `ItemCount`, which are added to.
    """
    n_before = _count_samples(table, samples)
    if is_swapped:
        n_bad, n_unmapped, bits = _place_words(items, True, table, samples)
    else:
        n_bad, n_unmapped, bits = _place_words(items, False, table, samples)
    n_placed = len(items) - n_bad - n_unmapped
    counts[_SAMPLE] += n_placed
    counts[_UNMAPPED] += n_unmapped
    counts[_BAD_CHANNEL] += n_bad
    # An item that is not for a new sample is for one that was there. To look at each sample before it is stored would
    # take half as long again as all the rest.
    counts[_DOUBLED] += n_placed - (_count_samples(table, samples) - n_before)
    if bits >> 12 & 3:
        for i in range(len(items)):
            word = _swap4(np.int64(items[i])) if is_swapped else np.int64(items[i])
            counts[_UNUSED_BITS] += word >> 12 & 3 != 0


@njit(inline="always")
def _place_words(items: NDArray[np.uint32], is_swapped: bool, table: Table, samples: Samples) -> Any:
    """Place items; returns how many are of no channel and of no row, and all bits that are set in any of them."""
    n_bad, n_unmapped, bits = 0, 0, np.int64(0)
    for i in range(len(items)):
        word = np.int64(items[i])
        if is_swapped:
            word = _swap4(word)
        first = table[word >> 23]
        bits |= word
        if first < 0:
            n_bad += first == NO_CHANNEL
            n_unmapped += first == NOWHERE
        else:
            samples[first + (word >> 14 & 0x1FF)] = np.int16(word & _SAMPLE_MASK)
    return n_bad, n_unmapped, bits


@njit
def _count_samples(table: Table, samples: Samples) -> Any:
    """Return how many samples of a board have come."""
    n = np.int64(0)
    for key in range(len(table)):
        if table[key] >= 0:
            row = samples[table[key] : table[key] + N_TIME_BUCKETS]
            n_row = np.int16(0)  # so that the loop becomes vector instructions
            for i in range(N_TIME_BUCKETS):
                n_row += np.int16(row[i] != NO_SAMPLE)
            n += np.int64(n_row)
    return n


@kernel(types.void(_WORDS, types.boolean, _TABLE, _FLAGS))
def mark_partial(items: NDArray[np.uint32], is_swapped: bool, ranks: Table, flags: NDArray[np.uint8]) -> None:
    """Set the flag of each channel that has an item; ``ranks`` gives the place of the flag for each key."""
    has_items = np.zeros(N_KEYS, np.uint8)
    if is_swapped:
        for i in range(len(items)):
            has_items[_swap4(np.int64(items[i])) >> 23] = 1
    else:
        for i in range(len(items)):
            has_items[items[i] >> 23] = 1
    for key in range(N_KEYS):
        if has_items[key]:
            flags[ranks[key]] = 1


@njit
def _place_counted(
    items: NDArray[np.uint16], is_swapped: bool, table: Table, samples: Samples, n_come: Table, counts: Counts
) -> None:
    """Place items of a full readout in any order; channel and time bucket follow from a counter for each AGET."""
    for i in range(len(items)):
        word = np.int64(items[i])
        if is_swapped:
            word = _swap2(word)
        aget = word >> 14
        time_bucket = n_come[aget] // N_CHANNELS
        first = table[aget << CHANNEL_BITS | n_come[aget] - time_bucket * N_CHANNELS]
        n_come[aget] += 1
        counts[_UNUSED_BITS] += word >> 12 & 3 != 0
        if time_bucket >= N_TIME_BUCKETS:
            counts[_SURPLUS] += 1
        elif first < 0:
            counts[_UNMAPPED] += 1
        else:
            counts[_SAMPLE] += 1
            samples[first + time_bucket] = np.int16(word & _SAMPLE_MASK)


@njit
def _firsts_in_order(
    items: NDArray[np.uint16], is_swapped: bool, table: Table, agets: NDArray[np.uint16], firsts: Table
) -> bool:
    """Find the AGET and the first sample of each place in a time bucket; returns whether each AGET has 68 of them."""
    n_come = np.zeros(N_AGETS, np.int64)
    mask = _swap2(_AGET) if is_swapped else _AGET
    for i in range(CHANNELS_PER_BOARD):
        word = np.int64(items[i])
        agets[i] = np.uint16(word & mask)
        aget = (_swap2(word) if is_swapped else word) >> 14
        if n_come[aget] == N_CHANNELS:
            return False
        firsts[i] = table[aget << CHANNEL_BITS | n_come[aget]]
        n_come[aget] += 1
    return True


@njit
def _differing_bits(items: NDArray[np.uint16], agets: NDArray[np.uint16]) -> Any:
    """Return all bits, as they lie in memory, in which items of whole time buckets differ from ``agets``.

    Those of the AGET and the unused ones are of interest.
    """
    differing = np.uint16(0)
    for begin in range(0, len(items), CHANNELS_PER_BOARD):
        bucket = items[begin : begin + CHANNELS_PER_BOARD]
        for i in range(CHANNELS_PER_BOARD):
            differing |= bucket[i] ^ agets[i]
    return np.int64(differing)


@njit
def _turn(
    items: NDArray[np.uint16], is_swapped: bool, firsts: Table, samples: Samples, time_bucket: int, block: Samples
) -> None:
    """Place the items of some time buckets, the first of which is given, channel by channel."""
    n = len(items) // CHANNELS_PER_BOARD
    if is_swapped:
        for i in range(len(items)):
            block[i] = np.int16(_swap2(items[i]) & _SAMPLE_MASK)
    else:
        for i in range(len(items)):
            block[i] = np.int16(items[i] & _SAMPLE_MASK)
    for i in range(CHANNELS_PER_BOARD):
        if firsts[i] >= 0:
            there = samples[firsts[i] + time_bucket : firsts[i] + time_bucket + n]
            for k in range(n):
                there[k] = block[k * CHANNELS_PER_BOARD + i]


@njit
def _count_unused_bits(items: NDArray[np.uint16], is_swapped: bool) -> Any:
    mask = _swap2(_UNUSED) if is_swapped else _UNUSED
    n_odd = 0
    for i in range(len(items)):
        n_odd += items[i] & mask != 0
    return n_odd


@kernel(types.void(_HALF_WORDS, types.boolean, _TABLE, _SAMPLES, _COUNTS))
def place_full(items: NDArray[np.uint16], is_swapped: bool, table: Table, samples: Samples, counts: Counts) -> None:
    """Place the items of a full readout; parameters as those of `place_partial`.

    The n-th item of an AGET is of channel n % 68 and time bucket n // 68. Boards keep the order of their AGETs in each
    time bucket. So whole time buckets are checked against the first one, and turned; what does not keep the order is
    counted item by item.
    """
    agets = np.empty(CHANNELS_PER_BOARD, np.uint16)
    firsts = np.empty(CHANNELS_PER_BOARD, np.int64)
    block = np.empty(_TURNED * CHANNELS_PER_BOARD, np.int16)
    n_buckets = min(len(items) // CHANNELS_PER_BOARD, N_TIME_BUCKETS)
    done = 0
    if n_buckets and _firsts_in_order(items, is_swapped, table, agets, firsts):
        while done < n_buckets:
            n = min(_TURNED, n_buckets - done)
            turned = items[done * CHANNELS_PER_BOARD : (done + n) * CHANNELS_PER_BOARD]
            differing = _differing_bits(turned, agets)
            differing = _swap2(differing) if is_swapped else differing
            if differing & _AGET:
                break
            if differing & _UNUSED:
                counts[_UNUSED_BITS] += _count_unused_bits(turned, is_swapped)
            _turn(turned, is_swapped, firsts, samples, done, block)
            done += n
        n_mapped = (firsts >= 0).sum()
        counts[_SAMPLE] += done * n_mapped
        counts[_UNMAPPED] += done * (CHANNELS_PER_BOARD - n_mapped)
    n_come = np.full(N_AGETS, done * N_CHANNELS)
    _place_counted(items[done * CHANNELS_PER_BOARD :], is_swapped, table, samples, n_come, counts)


@kernel(types.void(_HALF_WORDS, types.boolean, _TABLE, _FLAGS))
def mark_full(items: NDArray[np.uint16], is_swapped: bool, ranks: Table, flags: NDArray[np.uint8]) -> None:
    """Set the flag of each channel that has an item, as `mark_partial` does."""
    shift, mask = (6, 3) if is_swapped else (14, 3)
    n1, n2, n3 = 0, 0, 0
    for i in range(len(items)):
        aget = items[i] >> shift & mask
        n1 += aget == 1
        n2 += aget == 2
        n3 += aget == 3
    n_come = (len(items) - n1 - n2 - n3, n1, n2, n3)
    for aget in range(N_AGETS):
        for channel in range(min(n_come[aget], N_CHANNELS)):
            flags[ranks[aget << CHANNEL_BITS | channel]] = 1
