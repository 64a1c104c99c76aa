"""Counts of packets by their length, which show whether a detector is set as configured."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from std_daq.packets.bursts import Burst, BurstSource


def count_lengths(counts: Counter[int], lengths: NDArray[np.integer]) -> None:
    """Add the lengths of packets to counts by length."""
    if not lengths.size:
        return
    first = int(lengths[0])
    if (lengths == first).all():
        counts[first] += lengths.size
        return
    values, numbers = np.unique(lengths, return_counts=True)
    counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))


class CountedSource:
    """A source of bursts that counts the packets of another source as they are taken from it.

    Parameters
    ----------
    source
        The other source.

    Attributes
    ----------
    lengths
        For each port, the number of packets by length.
    """

    def __init__(self, source: BurstSource) -> None:
        self._source = source
        self.lengths: dict[int, Counter[int]] = {}

    def frames(self) -> Iterator[list[Burst]]:
        """Yield the frames of the other source."""
        for bursts in self._source.frames():
            for burst in bursts:
                count_lengths(self.lengths.setdefault(burst.port, Counter()), burst.lengths)
            yield bursts
