"""PadFinder: which channel reads the pad at a point."""

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.tpc.electronics import Board
from std_daq.tpc.pads.channel_map import PAD
from std_daq.tpc.pads.plane import PadPlane

# Radius of the disk on which pads without positions are laid.
_GRID_RADIUS_MM = 280.0


class PadFinder:
    """Finds the pad whose point is nearest.

    Parameters
    ----------
    plane
        Channels and pads. If positions are not known, the pads are laid on a square grid within a disk.
    boards
        Only their channels are found.

    Attributes
    ----------
    radius_mm
        Distance of the outermost pad from the axis.
    """

    def __init__(self, plane: PadPlane, boards: tuple[Board, ...]) -> None:
        from scipy.spatial import KDTree

        numbers = np.concatenate([plane.board_channels(board).numbers for board in boards] or [np.empty(0, np.int32)])
        kinds = np.concatenate([plane.board_channels(board).detectors for board in boards] or [np.empty(0, np.int32)])
        self._channels = np.flatnonzero((numbers >= 0) & (kinds == PAD))
        if not len(self._channels):
            raise ConfigError(
                "no board reads a pad", key="boards", remedy="give pads.electronics, or the boards [cobo, asad]"
            )
        numbers = numbers[self._channels]
        positions = _grid(len(numbers)) if plane.positions is None else plane.positions[numbers]
        self.radius_mm = float(np.hypot(*positions.T).max())
        self._tree = KDTree(positions)
        spacing = self._tree.query(positions, k=min(2, len(positions)))[0]
        self._reach_mm = float(np.median(spacing[:, -1])) if len(positions) > 1 else self.radius_mm

    def channels_at(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the channel at each point: board * 272 + aget * 68 + channel; -1 where there is no pad."""
        if not len(points):
            return np.empty(0, np.int64)
        distances, nearest = self._tree.query(points)
        return np.asarray(np.where(distances <= self._reach_mm, self._channels[nearest], -1), np.int64)


def _grid(n: int) -> NDArray[np.float64]:
    """Return the n points of a square grid that are nearest to the axis, scaled to the disk."""
    half = int(np.ceil(np.sqrt(n))) + 1
    axis = np.arange(-half, half + 1) + 0.5
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    radii = np.hypot(*points.T)
    chosen = np.argsort(radii, kind="stable")[:n]
    return np.asarray(points[chosen] * (_GRID_RADIUS_MM / radii[chosen].max()))
