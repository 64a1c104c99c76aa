"""Primitives of solids, many of one kind at a time, as the rows of an array."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.geometry.records import CYLINDER_SIDE, DISC, RECTANGLE, SPHERE, TRIANGLE

# The columns of the vectors that turn with a primitive; columns 0 to 2 are a point, the rest are lengths.
_VECTORS = {SPHERE: (), CYLINDER_SIDE: (3,), DISC: (3,), RECTANGLE: (3, 6, 9), TRIANGLE: (3, 6)}


@dataclass(frozen=True, slots=True)
class Primitives:
    """Primitives of one kind.

    Parameters
    ----------
    kind
        `SPHERE`, `CYLINDER_SIDE`, ...
    numbers
        What `std_daq.photons.geometry.records` says of this kind, shape (n, numbers).
    boundary, channel
        The index of a boundary, and a channel or -1, shape (n,).
    """

    kind: int
    numbers: NDArray[np.float64]
    boundary: NDArray[np.int32]
    channel: NDArray[np.int32]

    @classmethod
    def of_face(cls, kind: int, numbers: NDArray[np.float64], boundary: int, channel: int | None) -> Self:
        """Return primitives that belong to one face."""
        numbers = np.atleast_2d(numbers)
        channels = np.full(len(numbers), -1 if channel is None else channel, np.int32)
        return cls(kind, numbers, np.full(len(numbers), boundary, np.int32), channels)

    def placed(self, turn: NDArray[np.float64], place: NDArray[np.float64]) -> Self:
        """Return the primitives at a place: x' = turn x + place."""
        return self.placed_often(turn[None], place[None], None)

    def placed_often(
        self, turns: NDArray[np.float64], places: NDArray[np.float64], channels: NDArray[np.int32] | None
    ) -> Self:
        """Return the primitives at each of many places.

        Parameters
        ----------
        turns, places
            Rotations, shape (m, 3, 3), and places, shape (m, 3).
        channels
            The channel of each place; None keeps those of the primitives.
        """
        n, m = len(self.numbers), len(places)
        numbers = np.repeat(self.numbers[None], m, axis=0)
        numbers[:, :, :3] = np.einsum("mij,nj->mni", turns, self.numbers[:, :3]) + places[:, None]
        for column in _VECTORS[self.kind]:
            part = slice(column, column + 3)
            numbers[:, :, part] = np.einsum("mij,nj->mni", turns, self.numbers[:, part])
        own = np.tile(self.channel, m) if channels is None else np.repeat(channels, n)
        return type(self)(self.kind, numbers.reshape(m * n, -1), np.tile(self.boundary, m), own)

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lower and upper corners of the primitives' boxes, shape (n, 3) each."""
        a = self.numbers
        if self.kind == TRIANGLE:
            corners = np.stack([a[:, :3], a[:, :3] + a[:, 3:6], a[:, :3] + a[:, 6:9]])
            return corners.min(axis=0), corners.max(axis=0)
        if self.kind == SPHERE:
            reach = np.repeat(a[:, 3:4], 3, axis=1)
        elif self.kind == RECTANGLE:
            reach = np.abs(a[:, 6:9]) * a[:, 12:13] + np.abs(a[:, 9:12]) * a[:, 13:14]
        else:
            reach = a[:, 6:7] * np.sqrt(np.clip(1 - a[:, 3:6] ** 2, 0, 1))
            if self.kind == CYLINDER_SIDE:
                reach = reach + np.abs(a[:, 3:6]) * a[:, 7:8]
        return a[:, :3] - reach, a[:, :3] + reach
