"""PhotonPaths: the ways of chosen photons of an event, run again by themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.photons.backend import Job
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.event_files import read_events
from std_daq.photons.flags import TERMINAL, Flag
from std_daq.photons.protocol import digest_of, job_key, photon_request
from std_daq.photons.traces import trace


@dataclass(frozen=True, slots=True)
class PhotonPath:
    """The way of one photon.

    Parameters
    ----------
    number
        Its index in the event.
    points
        Where it began, and where each step ended, in mm; shape (n, 3).
    times
        When it was there, in ns; shape (n,).
    end
        The bit that ended it; None: it was alive after the last step.
    """

    number: int
    points: NDArray[np.float64]
    times: NDArray[np.float64]
    end: Flag | None

    def at(self, time: float) -> NDArray[np.float64]:
        """Return where the photon is at a time in ns; before its begin and after its end, where these are."""
        return np.array([np.interp(time, self.times, column) for column in self.points.T])


@dataclass(frozen=True, slots=True)
class PhotonPaths:
    """The ways of photons of one event."""

    event: int
    paths: tuple[PhotonPath, ...]

    @classmethod
    def trace(
        cls, geometry: Path, photons: Path, *, event: int | None, numbers: Sequence[int] | None, n_first: int, seed: int
    ) -> Self:
        """Run photons of a file again, with the random numbers that a worker takes.

        Parameters
        ----------
        event
            None: the first of the file.
        numbers
            Indices of the photons in their event; None: the first ``n_first``.
        seed
            That of the worker.

        Raises
        ------
        ConfigError
            The file has no such event or photon.
        """
        events = dict(read_events(photons))
        if event is None:
            event = next(iter(events), None)
        if event not in events:
            raise ConfigError("it has no such event", file=photons, value=event)
        all_photons = events[event]
        if numbers is None:
            numbers = range(min(n_first, len(all_photons)))
        backend = PhotonDetector.load(geometry).backend(seed=seed, n_threads=1)
        job = Job(job_key(digest_of(photon_request(event, all_photons))), all_photons)
        try:
            return cls(event, tuple(_paths(trace(backend, job, numbers))))
        except IndexError as error:
            raise ConfigError(str(error), file=photons) from error


def _paths(steps: NDArray[np.void]) -> Iterator[PhotonPath]:
    begins = np.flatnonzero(np.diff(steps["photon"], prepend=-1))
    for one in np.split(steps, begins[1:]) if len(steps) else ():
        points = np.column_stack([one[axis] for axis in "xyz"]).astype(np.float64)
        flags = Flag(int(one["flags"][-1]) & TERMINAL)
        yield PhotonPath(int(one["photon"][0]), points, one["time"].astype(np.float64), flags or None)
