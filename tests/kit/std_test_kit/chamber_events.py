"""Events of the simulated chamber as matrices, with their tracks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import CHANNELS_PER_BOARD, N_TIME_BUCKETS
from std_daq.tpc.pads.attpc_plane import attpc_positions, attpc_scales
from std_daq.tpc.pads.channel_map import read_channel_map
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import DetectorParameters
from std_daq.tpc.simulation.chamber import ChamberEvent, SimulatedChamber, TrackModel
from std_daq.tpc.simulation.tracks import Track
from std_test_kit.helix_events import channel_lines

BEAM_RADIUS_MM = 20.0


def attpc_with_invented_map(folder: Path) -> PadPlane:
    """Return the plane of the AT-TPC with the map of `channel_lines`, which is written into a folder."""
    file = folder / "map.csv"
    file.write_text("\n".join(channel_lines()))
    return PadPlane(read_channel_map(file), attpc_positions(), attpc_scales(), beam_radius_mm=BEAM_RADIUS_MM)


def simulated_events(
    plane: PadPlane, n_events: int, *, n_tracks: tuple[int, int] = (1, 3), seed: int = 0
) -> Iterator[tuple[NDArray[np.int16], tuple[Track, ...]]]:
    """Yield the matrix and the tracks of each event."""
    chamber = SimulatedChamber(
        plane, plane.boards, DetectorParameters(), seed=seed, tracks=TrackModel(n_tracks=n_tracks)
    )
    for number in range(n_events):
        event = chamber.event(number)
        yield _matrix(event, plane), event.tracks


def _matrix(event: ChamberEvent, plane: PadPlane) -> NDArray[np.int16]:
    parts = []
    for board, samples in event.samples.items():
        flat = samples.reshape(CHANNELS_PER_BOARD, N_TIME_BUCKETS)
        numbers = plane.board_channels(board).numbers
        indices = np.flatnonzero((flat >= 0).any(axis=1) & (numbers >= 0))
        rows = np.zeros((len(indices), 5 + N_TIME_BUCKETS), np.int16)
        rows[:, 0], rows[:, 1] = board
        rows[:, 2], rows[:, 3] = np.divmod(indices, CHANNELS_PER_BOARD // 4)
        rows[:, 4] = numbers[indices]
        rows[:, 5:] = np.maximum(flat[indices], 0)
        parts.append(rows)
    matrix = np.concatenate(parts)
    return matrix[np.argsort(matrix[:, 4], kind="stable")]
