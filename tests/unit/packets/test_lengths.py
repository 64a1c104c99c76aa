"""Counts of packets by length."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from std_daq.packets.bursts import Burst
from std_daq.packets.lengths import CountedSource, count_lengths


@pytest.mark.parametrize("lengths", [[], [7], [7, 7, 7], [7, 8, 7, 9, 0]])
def test_packets_are_counted_by_length(lengths: list[int]) -> None:
    counts = Counter({7: 1})
    count_lengths(counts, np.array(lengths, np.int64))
    assert counts == Counter([7, *lengths])


class TwoFrames:
    def frames(self) -> Iterator[list[Burst]]:
        for n in (1, 2):
            lengths = np.full(n, 10 * n, np.int64)
            yield [Burst(port, np.zeros(99, np.uint8), np.zeros(n, np.int64), lengths) for port in (50, 51)]


def test_packets_of_a_source_are_counted_as_they_are_taken() -> None:
    source = CountedSource(TwoFrames())
    frames = source.frames()
    next(frames)
    assert source.lengths == {50: {10: 1}, 51: {10: 1}}
    assert list(frames)
    assert source.lengths == {50: {10: 1, 20: 2}, 51: {10: 1, 20: 2}}
