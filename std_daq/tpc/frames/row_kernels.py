"""Rows of the matrix of an event, compiled.

A row is int16: cobo, asad, aget, channel, pad, and 512 samples. Channels have ranks, the order of the rows. The tables
of a board have an entry for each key, as those of `item_kernels`.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel
from std_daq.tpc.electronics import N_TIME_BUCKETS
from std_daq.tpc.frames.item_kernels import NO_SAMPLE, NOWHERE, Samples, Table
from std_daq.tpc.frames.records import N_HEAD_COLUMNS, N_KEYS

_TABLE = types.Array(types.int64, 1, "C")
_CONST_TABLE = types.Array(types.int64, 1, "C", readonly=True)
_SAMPLES = types.Array(types.int16, 1, "C")
_HEADS = types.Array(types.int16, 2, "C", readonly=True)
_FLAGS = types.Array(types.uint8, 1, "C")
_N_COLUMNS = N_HEAD_COLUMNS + N_TIME_BUCKETS


@kernel(types.int64(_FLAGS, _TABLE))
def number_rows(flags: NDArray[np.uint8], rows: Table) -> int:
    """Give a row to each channel whose flag is set, in order of the ranks; returns how many rows there are.

    The last flag is that of channels without a rank. All flags are cleared.

    Parameters
    ----------
    rows
        Filled: the row of each rank, or -1.
    """
    n_rows = 0
    last = len(flags) - 1
    for rank in range(last):
        if flags[rank]:
            rows[rank] = n_rows
            n_rows += 1
        else:
            rows[rank] = NOWHERE
    rows[last] = NOWHERE
    flags[:] = 0
    return n_rows


@kernel(types.void(_CONST_TABLE, _TABLE, _HEADS, _SAMPLES, _TABLE))
def begin_rows(ranks: Table, rows: Table, heads: NDArray[np.int16], samples: Samples, firsts: Table) -> None:
    """Begin the rows of a board: their first five columns, and no sample.

    Parameters
    ----------
    ranks
        Rank of each key.
    heads
        The first five columns for each key.
    samples
        The matrix of the event, flat.
    firsts
        Filled for keys that have a row: its first sample, index into ``samples``. Others with a rank get `NOWHERE`.
    """
    for key in range(N_KEYS):
        if firsts[key] < NOWHERE:
            continue
        row = rows[ranks[key]]
        firsts[key] = NOWHERE
        if row < 0:
            continue
        begin = row * _N_COLUMNS
        for column in range(N_HEAD_COLUMNS):
            samples[begin + column] = heads[key, column]
        firsts[key] = begin + N_HEAD_COLUMNS
        samples[begin + N_HEAD_COLUMNS : begin + _N_COLUMNS] = NO_SAMPLE


@kernel(types.void(_TABLE, _SAMPLES))
def end_rows(firsts: Table, samples: Samples) -> None:
    """Set the samples of a board that have not come to 0."""
    for key in range(N_KEYS):
        if firsts[key] < 0:
            continue
        row = samples[firsts[key] : firsts[key] + N_TIME_BUCKETS]
        for i in range(N_TIME_BUCKETS):
            row[i] = row[i] & ~(row[i] >> 15)
