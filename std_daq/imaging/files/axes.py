"""Axes that move the sample during a run, and where each image finds them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleAxis:
    """An axis that moves the sample: a rotation in degrees, or a translation in metres.

    Attributes
    ----------
    name
        Name of the axis; also of its dataset.
    vector
        Direction in the coordinates of NeXus; its length does not matter.
    is_rotation
        Whether the axis is a rotation.
    start, increment
        Position at the start of the first exposure of the run, and from one exposure to the next.
    values
        Position at each exposure, instead of start and increment; None if these are given.
    offset_m
        Position of the axis, in metres.
    """

    name: str
    vector: Vector
    is_rotation: bool
    start: float = 0.0
    increment: float = 0.0
    values: tuple[float, ...] | None = None
    offset_m: Vector = (0.0, 0.0, 0.0)

    @property
    def is_moving(self) -> bool:
        """Whether its position is a value for each image."""
        return self.values is not None or self.increment != 0.0

    @property
    def unit(self) -> str:
        """Unit of its position."""
        return "deg" if self.is_rotation else "m"

    @property
    def kind(self) -> str:
        """Its ``transformation_type`` in NeXus."""
        return "rotation" if self.is_rotation else "translation"

    def positions(self, exposures: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the position at each exposure; NaN where no value was given.

        Parameters
        ----------
        exposures
            Numbers of exposures of the run, counted from 0, shape (n,).
        """
        if self.values is None:
            return np.asarray(self.start + self.increment * exposures, np.float64)
        positions = np.full(len(exposures), np.nan)
        is_known = exposures < len(self.values)
        positions[is_known] = np.array(self.values)[exposures[is_known]]
        return positions
