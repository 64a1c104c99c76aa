"""DetectorParts: which rows of an event belong to which dataset of a merged file."""

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import BOARDS_PER_COBO, N_AGETS, N_CHANNELS, hardware_number
from std_daq.tpc.merged.layout import DATASETS_2_0, MAX_TRACES, Layout
from std_daq.tpc.pads.channel_map import PAD
from std_daq.tpc.pads.plane import PadPlane

Traces = NDArray[np.int16]


class DetectorParts:
    """Divides the traces of events among the datasets of a layout.

    Parameters
    ----------
    layout
        Layout 1.0 has one dataset for all traces, layout 2.0 one for the pads and one for each silicon detector.
    plane
        The pad plane, whose channel map names the detector of each channel. Without a map all are pads.
    """

    def __init__(self, layout: Layout, plane: PadPlane) -> None:
        self._is_divided = layout is Layout.V2_0
        self._detectors = np.full(MAX_TRACES, PAD, np.int8)
        channels = () if plane.channel_map is None else plane.channel_map.channels
        for one in channels:
            self._detectors[hardware_number(one.cobo, one.asad, one.aget, one.channel)] = one.detector
        self._has_silicon = any(one.detector != PAD for one in channels)

    def divide(self, traces: Traces) -> tuple[Traces, ...]:
        """Return the traces of each dataset, in the order of the rows; those of a single one are not copied."""
        if not self._is_divided:
            return (traces,)
        if not self._has_silicon:
            return (traces, *[traces[:0]] * (len(DATASETS_2_0) - 1))
        cobo, asad, aget, channel = traces[:, :4].T.astype(np.int64)
        numbers = ((cobo * BOARDS_PER_COBO + asad) * N_AGETS + aget) * N_CHANNELS + channel
        # An event in the ring may be overwritten meanwhile; it is dropped afterwards.
        detectors = self._detectors[np.clip(numbers, 0, MAX_TRACES - 1)]
        return tuple(np.ascontiguousarray(traces[detectors == code]) for code in range(len(DATASETS_2_0)))
