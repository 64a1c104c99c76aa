"""Bisection: the highest rate at which something still works."""

import math
from collections.abc import Callable


def highest(works: Callable[[float], bool], low: float, high: float, *, resolution: float = 1.05) -> float:
    """Return the highest rate at which a trial worked, 0 if even the lowest failed.

    It is taken for granted that what works at a rate works below. Rates are halved by their ratio: what differs by 5 %
    is the same rate here, at 10 Hz and at 1000 Hz.

    Parameters
    ----------
    works
        Tries a rate.
    low, high
        Between which rates to look; neither is tried twice.
    resolution
        How close, as a ratio, the rate that worked has to be to one that did not.
    """
    if not 0 < low < high or resolution <= 1:
        raise ValueError(f"{low=}, {high=}, {resolution=}")
    if not works(low):
        return 0.0
    if works(high):
        return high
    while high / low > resolution:
        middle = math.sqrt(low * high)
        if works(middle):
            low = middle
        else:
            high = middle
    return low


def confirmed(works: Callable[[float], bool], rate: float, *, step: float = 1.05, n_steps: int = 3) -> float:
    """Return the rate at which a longer trial worked: `rate`, or a few steps below; 0 if none did.

    Parameters
    ----------
    works
        Tries a rate for long.
    rate
        From `highest`.
    step, n_steps
        How far down a step goes, as a ratio, and how many to try.
    """
    for _ in range(n_steps):
        if works(rate):
            return rate
        rate /= step
    return 0.0
