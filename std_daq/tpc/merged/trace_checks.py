"""Checks of the traces of an event."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import BOARDS_PER_COBO, MAX_COBO, N_AGETS, N_CHANNELS, SAMPLE_BITS
from std_daq.tpc.merged.layout import NUMBER_COLUMN

_N_HARDWARE = 4
_HARDWARE_LIMITS = np.array([MAX_COBO + 1, BOARDS_PER_COBO, N_AGETS, N_CHANNELS])


def find_faults(traces: NDArray[Any], *, is_ascending: bool) -> Iterator[str]:
    """Yield what is wrong with the traces of an event, int16 (n, 517), in a few words each.

    Parameters
    ----------
    is_ascending
        Whether the rows have to ascend in the pad or strip; files of other programs have no order.
    """
    hardware, numbers = traces[:, :_N_HARDWARE], traces[:, NUMBER_COLUMN]
    if (hardware < 0).any() or (hardware >= _HARDWARE_LIMITS).any():
        yield "traces of channels that the electronics do not have"
    if len(np.unique(hardware, axis=0)) < len(hardware):
        yield "two traces of a channel"
    if is_ascending and (np.diff(numbers.astype(np.int64)) < 0).any():
        yield "rows do not ascend in column 4"
    samples = traces[:, NUMBER_COLUMN + 1 :]
    if samples.size and (samples.min() < 0 or samples.max() >= 1 << SAMPLE_BITS):
        yield f"samples beyond {SAMPLE_BITS} bits"
