"""OwnColumns: arrays of a detector in its files, beside those that every detector has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class OwnColumn:
    """An array with one row per image.

    Parameters
    ----------
    dtype
        Type of its values.
    is_per_module
        Whether a row has a value for each module.
    units
        Unit of the values; empty if they have none.
    """

    dtype: np.dtype[Any]
    is_per_module: bool
    units: str = ""


@dataclass(frozen=True, slots=True)
class OwnColumns:
    """The arrays that a detector adds to its files, and how they follow from what came with the images.

    Parameters
    ----------
    columns
        The arrays by name.
    compute
        Returns the rows of each array, given the ModuleEntry of each module of some images, (n_images, n_modules).
    """

    columns: Mapping[str, OwnColumn]
    compute: Callable[[NDArray[Any]], Mapping[str, NDArray[Any]]]
