"""What happened to photons: how many each process happened to, and the steps of chosen ones.

A photon's random numbers depend on its index and its request alone. So it can be run again by itself, as far as wanted:
its state after k steps is what the engine returns when it may take k steps.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.backend import Job
from std_daq.photons.batches import Propagator
from std_daq.photons.flags import TERMINAL, Flag
from std_daq.photons.records import PHOTON

STEP = np.dtype([("photon", "<u4"), ("step", "<u4"), *((name, PHOTON[name]) for name in PHOTON.names or ())])
"""A photon after a step: its index, the number of the step (0: as it began), and the photon."""

ALIVE = "ALIVE"


def tally(ended: NDArray[np.void]) -> dict[str, int]:
    """Return how many photons have each bit of `Flag` in their history, and how many are `ALIVE` at the end."""
    counts = {flag.name or str(flag): int(np.count_nonzero(ended["flags"] & np.uint32(flag))) for flag in Flag}
    counts[ALIVE] = int(np.count_nonzero((ended["flags"] & np.uint32(TERMINAL)) == 0))
    return counts


def trace(backend: Propagator, job: Job, numbers: Sequence[int]) -> NDArray[np.void]:
    """Return the steps of chosen photons of a job, records of `STEP`, photon by photon.

    A photon that leaves the geometry has one more step, which does not move it: it finds no boundary.

    Raises
    ------
    IndexError
        The job has no photon of a number.
    """
    left = np.unique(np.array(numbers, np.int64))
    if len(left) and not (left[0] >= 0 and left[-1] < len(job.photons)):
        raise IndexError(f"photons are 0 to {len(job.photons) - 1}, not {left[0] if left[0] < 0 else left[-1]}")
    steps = [_steps(left, 0, job.photons[left])]
    left = left[_is_alive(job.photons[left])]
    for step in range(1, backend.max_steps + 1):
        if not len(left):
            break
        now = backend.propagate_some(job, left.astype(np.uint32), max_steps=step)
        steps.append(_steps(left, step, now))
        left = left[_is_alive(now)]
    joined = np.concatenate(steps)
    return joined[np.argsort(joined["photon"], kind="stable")]


def _steps(numbers: NDArray[np.int64], step: int, photons: NDArray[np.void]) -> NDArray[np.void]:
    steps = np.empty(len(photons), STEP)
    steps["photon"], steps["step"] = numbers, step
    for name in PHOTON.names or ():
        steps[name] = photons[name]
    return steps


def _is_alive(photons: NDArray[np.void]) -> NDArray[np.bool_]:
    is_alive: NDArray[np.bool_] = (photons["flags"] & np.uint32(TERMINAL)) == 0
    return is_alive
