"""The highest rate without loss: found by bisection with short trials, confirmed by a long one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of sending at a rate for a while.

    Attributes
    ----------
    bytes_per_s
        The rate that the sender reached.
    is_lossless
        Whether all that was sent arrived.
    """

    bytes_per_s: float
    is_lossless: bool


@dataclass(frozen=True, slots=True)
class HighestRate:
    """The highest rate at which nothing was lost.

    Attributes
    ----------
    bytes_per_s
        The rate; 0 if none held.
    is_sender_the_limit
        Whether the sender went as fast as it could, so that the receiver's own limit lies above.
    """

    bytes_per_s: float
    is_sender_the_limit: bool


Attempt: TypeAlias = Callable[[float | None], Trial]
"""Sends at a rate in bytes per second, or as fast as it goes (None)."""


def twice(attempt: Attempt) -> Attempt:
    """Return attempts that lose something only if they do so twice: once may be another process on the same core."""

    def second_chance(rate: float | None) -> Trial:
        first = attempt(rate)
        return first if first.is_lossless else attempt(rate)

    return second_chance


def bisect(attempt: Attempt, n_steps: int) -> HighestRate:
    """Return the highest rate of short trials.

    The first goes as fast as the sender can; if that loses nothing the search is over.

    Parameters
    ----------
    attempt
        A short trial.
    n_steps
        Halvings of the interval between 0 and what the sender reaches.
    """
    fastest = attempt(None)
    if fastest.is_lossless:
        return HighestRate(fastest.bytes_per_s, is_sender_the_limit=True)
    below, above = 0.0, fastest.bytes_per_s
    for _ in range(n_steps):
        rate = (below + above) / 2
        if attempt(rate).is_lossless:
            below = rate
        else:
            above = rate
    return HighestRate(below, is_sender_the_limit=False)


def confirm(attempt: Attempt, found: HighestRate, shares: Sequence[float]) -> HighestRate:
    """Return the highest rate that holds in a long trial: the largest share that does of the one that was found.

    Parameters
    ----------
    attempt
        A long trial; it may end as soon as something is lost.
    found
        What short trials have found; if the sender was the limit, that is tried first.
    shares
        Of the found rate, to be tried one after the other; descending.

    Returns
    -------
    The rate that the sender reached in the trial that lost nothing; 0 if all lost something.
    """
    if found.is_sender_the_limit:
        fastest = attempt(None)
        if fastest.is_lossless:
            return HighestRate(fastest.bytes_per_s, is_sender_the_limit=True)
    for share in shares:
        trial = attempt(found.bytes_per_s * share)
        if trial.is_lossless:
            return HighestRate(trial.bytes_per_s, is_sender_the_limit=False)
    return HighestRate(0.0, is_sender_the_limit=False)
