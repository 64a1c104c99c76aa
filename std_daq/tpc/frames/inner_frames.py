"""The frames within a merged frame."""

import numpy as np

from std_daq.tpc.frames.frame import MERGED_TYPES, Frame, frames_at
from std_daq.tpc.frames.records import HEADER, Fault
from std_daq.tpc.frames.splitter_kernels import split_file

MAX_INNER = 4096
"""So many frames of a merged frame are read, which bounds the time for one; there are at most 1024 boards."""
_MAX_DEPTH = 4
_MAX_DAMAGED = 64


def inner_frames(frame: Frame, depth: int = 0, at_most: int = MAX_INNER) -> tuple[list[Frame], list[Fault]]:
    """Return the frames in a merged frame, also those of merged frames within it, and the faults of damaged ones.

    If fewer are there than the number of items says, or more than ``at_most``, one counts as cut off.
    """
    begin, end = int(frame.header["header_bytes"]), len(frame.data)
    n_items = int(frame.header["n_items"])
    headers = np.zeros(min(n_items, end // 8, at_most), HEADER)
    places = np.zeros((len(headers), 2), np.int64)
    damaged = np.zeros((_MAX_DAMAGED, 3), np.int64)
    position = np.zeros(2, np.int64)
    n = split_file(frame.data, begin, end, end, headers, places, position, damaged)
    found: list[Frame] = []
    faults: list[Fault] = []
    n_left = at_most - n
    for one in frames_at(headers[:n], places[:n], frame.data):
        if one.frame_type not in MERGED_TYPES:
            found.append(one)
        elif depth < _MAX_DEPTH:
            inner, inner_faults = inner_frames(one, depth + 1, n_left)
            n_left -= len(inner)
            found += inner
            faults += inner_faults
        else:
            faults.append(Fault.FRAME_TYPE)
    n_damaged = int(position[1])
    faults += [Fault(code) for code in damaged[:n_damaged, 2].tolist()]
    if n + n_damaged < n_items:
        faults.append(Fault.CUT_OFF)
    return found, faults
