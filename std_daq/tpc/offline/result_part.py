"""ResultPart: the results of a few events; PartFolder: where the parts of an analysis are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from std_daq.folders.new_file import NewFile
from std_daq.tpc.reconstruction.results import CLOUD_POINT, ESTIMATE, LABEL, N_CLOUD_COLUMNS, EventResult


@dataclass(frozen=True, slots=True)
class ResultPart:
    """The results of a few events.

    Attributes
    ----------
    numbers, ids, epochs, n_points
        Of each event: its number in the result, its id, its run, and the points of its cloud; int64.
    clouds, labels
        Those of all events, one after another.
    estimates
        Those of all events; ``event`` is the number.
    """

    numbers: NDArray[np.int64]
    ids: NDArray[np.int64]
    epochs: NDArray[np.int64]
    n_points: NDArray[np.int64]
    clouds: NDArray[np.float64]
    labels: NDArray[np.int32]
    estimates: NDArray[Any]

    @classmethod
    def of(cls, results: Sequence[tuple[int, EventResult]]) -> Self:
        """Return the part of some results with their numbers."""
        events = [result for _, result in results]
        return cls(
            numbers=np.array([number for number, _ in results], np.int64),
            ids=np.array([event.id for event in events], np.int64),
            epochs=np.array([event.epoch for event in events], np.int64),
            n_points=np.array([len(event.cloud) for event in events], np.int64),
            clouds=np.concatenate([np.empty((0, N_CLOUD_COLUMNS), CLOUD_POINT), *(event.cloud for event in events)]),
            labels=np.concatenate([np.empty(0, LABEL), *(event.labels for event in events)]),
            estimates=np.concatenate([np.empty(0, ESTIMATE), *(event.estimates for event in events)]),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file of a part; its checksums are compared."""
        with path.open("rb") as file, np.load(file) as columns:
            return cls(**{field.name: columns[field.name] for field in fields(cls)})

    def save(self, path: Path) -> None:
        """Write the file; it is there as a whole or not at all, unless the machine loses its power."""
        with NewFile(path) as new:
            with new.opened.open("wb") as file:
                np.savez(file, allow_pickle=False, **{field.name: getattr(self, field.name) for field in fields(self)})
            new.replace()


@dataclass(frozen=True, slots=True)
class PartFolder:
    """Where the parts of an analysis are kept, a file for each unit; several processes may write there.

    Parameters
    ----------
    path
        The folder.
    """

    path: Path

    def has(self, index: int) -> bool:
        """Return whether the part of a unit is there, and whole.

        Nobody waits until a part is on the disk, which may take long. So after a loss of power some may be damaged.
        """
        try:
            self.load(index)
        except (OSError, ValueError, EOFError, KeyError, BadZipFile):
            return False
        return True

    def save(self, index: int, part: ResultPart) -> None:
        """Keep the part of a unit."""
        part.save(self._file(index))

    def load(self, index: int) -> ResultPart:
        """Return the part of a unit."""
        return ResultPart.load(self._file(index))

    def _file(self, index: int) -> Path:
        return self.path / f"{index:08d}.npz"
