"""What a service knows of an engine: jobs go in, the hits of each come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Job:
    """One request to simulate.

    Parameters
    ----------
    key
        64 bits that select the random numbers: a hash of the request's bytes. The seed is the engine's.
    photons
        Records of `PHOTON`, shape (n,).
    """

    key: int
    photons: NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Channels:
    """The light sensors of a detector.

    Parameters
    ----------
    positions
        Places in mm, float32, shape (n, 3).
    types
        Kinds of sensors, int32, shape (n,).
    """

    positions: NDArray[np.float32]
    types: NDArray[np.int32]


class Backend(Protocol):
    """Propagates photons through one detector."""

    name: str
    channels: Channels

    def simulate(self, jobs: Sequence[Job]) -> list[NDArray[np.void]]:
        """Return for each job its hits, records of `HIT` in the order of their photons.

        The hits of a job are a function of geometry, seed and job alone, whatever else is simulated with it.
        """
