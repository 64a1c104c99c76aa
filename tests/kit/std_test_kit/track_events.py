"""Events with tracks of known radius, as the electronics of the AT-TPC would send them."""

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.pads.attpc_plane import attpc_positions

_N_SAMPLES = 512


def track_event(seed: int, *, radius_mm: float = 150.0, begin_tb: float = 100.0) -> NDArray[np.int16]:
    """Return traces, int16 (n, 517), of two tracks that leave the axis to opposite sides and drift evenly along z."""
    random = np.random.default_rng(seed)
    turn = random.uniform(0, 2 * np.pi)
    angles = np.linspace(0.05, 1.6, 400)
    positions = attpc_positions()
    times: dict[int, float] = {}
    for side, step_tb in ((0.0, 0.8), (np.pi, 0.5)):
        x = radius_mm * (np.cos(turn + side) - np.cos(turn + side + angles))
        y = radius_mm * (np.sin(turn + side) - np.sin(turn + side + angles))
        pads = np.argmin((positions[:, :1] - x) ** 2 + (positions[:, 1:] - y) ** 2, axis=0)
        chosen, first = np.unique(pads, return_index=True)
        times |= dict(zip(chosen.tolist(), (begin_tb + step_tb * first).tolist(), strict=True))
    ordered = sorted(times)
    peaks = np.array([times[pad] for pad in ordered])
    samples = 300 + random.normal(0, 3, (len(ordered), _N_SAMPLES))
    samples += 800 * np.exp(-(((np.arange(_N_SAMPLES) - peaks[:, None]) / 5) ** 2))
    traces = np.zeros((len(ordered), 5 + _N_SAMPLES), np.int16)
    traces[:, 4], traces[:, 5:] = ordered, samples.round()
    return traces
