"""Events with helices, made without electronics or gas: enough for clouds, clusters and estimates."""

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import FPN_CHANNELS, N_CHANNELS
from std_daq.tpc.pads.attpc_plane import N_PADS, attpc_positions

_N_SAMPLES = 512
_PERIODS_OF_SHAPER = 6.25
_T_WINDOW, _T_PADS, _LENGTH_MM = 560.0, 10.0, 1000.0


def channel_lines() -> list[str]:
    """Return an invented channel map for the pads of the AT-TPC: a header line and a line a pad."""
    channels = [channel for channel in range(N_CHANNELS) if channel not in FPN_CHANNELS]
    lines = ["cobo,asad,aget,channel,pad"]
    for pad, (cobo, asad, aget, channel) in enumerate(_hardware(N_PADS, channels)):
        lines.append(f"{cobo},{asad},{aget},{channel},{pad}")
    return lines


def helix_event(seed: int, n_tracks: int = 2) -> NDArray[np.int16]:
    """Return the matrix of an event, int16 (n, 517)."""
    random = np.random.default_rng(seed)
    positions = attpc_positions()
    charges: dict[int, NDArray[np.float64]] = {}
    for _ in range(n_tracks):
        for x, y, z in _helix(random):
            distances = np.hypot(positions[:, 0] - x, positions[:, 1] - y)
            pad = int(np.argmin(distances))
            if distances[pad] < 8:
                samples = charges.setdefault(pad, np.zeros(_N_SAMPLES))
                samples += 150 * _pulse(_T_WINDOW - z / _LENGTH_MM * (_T_WINDOW - _T_PADS))
    channels = [channel for channel in range(N_CHANNELS) if channel not in FPN_CHANNELS]
    hardware = np.array(list(_hardware(N_PADS, channels)), np.int16)
    matrix = np.zeros((len(charges), 5 + _N_SAMPLES), np.int16)
    for row, pad in zip(matrix, sorted(charges), strict=True):
        row[:4], row[4] = hardware[pad], pad
        samples = charges[pad] + random.uniform(250, 450) + random.normal(0, 3, _N_SAMPLES)
        row[5:] = np.clip(samples, 0, 4095)
    return matrix


def _hardware(n: int, channels: list[int]) -> list[tuple[int, int, int, int]]:
    per_board = 4 * len(channels)
    return [
        (
            pad // per_board // 4,
            pad // per_board % 4,
            pad % per_board // len(channels),
            channels[pad % len(channels)],
        )
        for pad in range(n)
    ]


def _helix(random: np.random.Generator) -> NDArray[np.float64]:
    polar, azimuth = np.radians(random.uniform(40, 140)), random.uniform(0, 2 * np.pi)
    radius, z = random.uniform(60, 140), random.uniform(300, 700)
    turned = np.arange(0, 4 if radius < 100 else 2, 2.5 / radius)
    radii = radius * np.exp(-0.06 * turned)
    x = np.cumsum(-radii * np.sin(turned + azimuth) * (2.5 / radius))
    y = np.cumsum(radii * np.cos(turned + azimuth) * (2.5 / radius))
    points = np.column_stack([x, y, z + radius * turned / np.tan(polar)])
    points += random.normal(0, 1.0, points.shape)
    return points[(points[:, 2] > 0) & (points[:, 2] < _LENGTH_MM)]


def _pulse(start: float) -> NDArray[np.float64]:
    s = np.clip((np.arange(_N_SAMPLES) - start) / _PERIODS_OF_SHAPER, 0, np.pi)
    pulse: NDArray[np.float64] = np.exp(-3 * s) * s**3 * np.sin(s) / 0.044
    return pulse
