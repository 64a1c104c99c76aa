"""The point cloud of an event: a point for each peak, with its place in the chamber."""

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import CHANNELS_PER_BOARD, N_CHANNELS
from std_daq.tpc.pads.channel_map import PAD
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import DetectorParameters
from std_daq.tpc.reconstruction.peaks import Peaks
from std_daq.tpc.reconstruction.results import no_cloud

MAX_PEAKS_OF_TRACE = 5
"""A trace with more peaks is noise."""

_COBO, _ASAD, _AGET, _CHANNEL, _PAD = range(5)
_Z = 2
_UNKNOWN = -1


def make_cloud(
    matrix: NDArray[np.int16], peaks: Peaks, plane: PadPlane, detector: DetectorParameters
) -> NDArray[np.float64]:
    """Return the points of an event, float64 (N, 8): x, y, z, amplitude, integral, pad, time, scale; ascending z.

    The place of a trace is that of the pad that its channel reads. Traces of channels that read no pad, or a beam pad,
    and traces with more than 5 peaks have no points.

    Parameters
    ----------
    matrix
        int16 (n_traces, 517)
    """
    pads = _pads_of_rows(matrix, plane)
    counts = np.bincount(peaks.rows, minlength=len(matrix))
    is_used = (pads != _UNKNOWN) & (counts <= MAX_PEAKS_OF_TRACE)
    is_used[is_used] = ~plane.is_beam_pad[pads[is_used]]
    is_kept = is_used[peaks.rows]
    rows = peaks.rows[is_kept]
    if not len(rows) or plane.positions is None:
        return no_cloud()
    pads = pads[rows]
    cloud = np.empty((len(rows), 8))
    cloud[:, :2] = plane.positions[pads]
    cloud[:, 3] = peaks.amplitudes[is_kept]
    cloud[:, 4] = peaks.integrals[is_kept]
    cloud[:, 5] = matrix[rows, _PAD]
    cloud[:, 6] = peaks.centroids[is_kept] + plane.time_correction_of_pads[pads]
    cloud[:, 7] = plane.scale_of_pads[pads]
    cloud[:, _Z] = _z_of(cloud[:, 6], detector)
    cloud = cloud[~np.isnan(cloud).any(axis=1)]
    return cloud[np.argsort(cloud[:, _Z], kind="stable")]


def _z_of(times: NDArray[np.float64], detector: DetectorParameters) -> NDArray[np.float64]:
    drift = detector.window_time_bucket - detector.micromegas_time_bucket
    return (detector.window_time_bucket - times) / drift * detector.detector_length


def _pads_of_rows(matrix: NDArray[np.int16], plane: PadPlane) -> NDArray[np.int64]:
    """Return the pad that the channel of each row reads, -1 if it reads none that has a place.

    Without a channel map it is the one in the row: a merged file has the pads of the map with which it was made.
    """
    pads = np.full(len(matrix), _UNKNOWN, np.int64)
    hardware = matrix[:, :_PAD].astype(np.int64)
    boards = hardware[:, _COBO] * 256 + hardware[:, _ASAD]
    indices = hardware[:, _AGET] * N_CHANNELS + hardware[:, _CHANNEL]
    is_channel = (hardware >= 0).all(axis=1) & (hardware[:, _CHANNEL] < N_CHANNELS) & (indices < CHANNELS_PER_BOARD)
    for board in np.unique(boards[is_channel]):
        rows = np.flatnonzero(is_channel & (boards == board))
        channels = plane.board_channels((int(board) // 256, int(board) % 256))
        numbers, detectors = channels.numbers[indices[rows]], channels.detectors[indices[rows]]
        pads[rows] = np.where(detectors == PAD, numbers, _UNKNOWN)
    if plane.channel_map is None:
        pads = np.where(pads == _UNKNOWN, _UNKNOWN, np.maximum(matrix[:, _PAD], _UNKNOWN))
    pads[pads >= plane.n_pads] = _UNKNOWN
    return pads
