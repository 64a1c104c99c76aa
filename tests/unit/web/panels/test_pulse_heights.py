"""The distribution of pulse heights: over which time, of which modules, in which bins."""

import numpy as np

from std_web.panels.pulse_heights import PulseHeights


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_heights_older_than_the_window_do_not_count() -> None:
    clock = Clock()
    heights = PulseHeights(clock)
    heights.add(1, 100, 2)
    clock.now_s += 30
    heights.add(1, 200, 3)
    assert heights.distribution(60).n_images == {1: 2}
    assert heights.distribution(60).n_skipped == {1: 5}
    recent = heights.distribution(10)
    assert (recent.n_images, recent.n_skipped) == ({1: 1}, {1: 3})


def test_every_height_is_in_one_bin_and_all_bins_have_as_many_values() -> None:
    heights = PulseHeights(Clock())
    values = np.random.default_rng(1).integers(-300, 4000, 5000)
    for value in values:
        heights.add(7, int(value), 0)
    found = heights.distribution(600)
    assert found.counts[7].sum() == len(values)
    widths = np.diff(found.edges)
    assert (widths == widths[0]).all()
    assert widths[0] == int(widths[0])
    np.testing.assert_array_equal(found.counts[7], np.histogram(values, found.edges)[0])
    assert values.max() < found.edges[-1]


def test_heights_that_are_all_the_same_have_one_bin() -> None:
    heights = PulseHeights(Clock())
    heights.add(1, 5, 0)
    heights.add(1, 5, 0)
    found = heights.distribution(60)
    assert found.edges.tolist() == [5.0, 6.0]
    assert found.counts[1].tolist() == [2]


def test_modules_that_are_not_wanted_do_not_widen_the_bins() -> None:
    heights = PulseHeights(Clock())
    heights.add(1, 10, 0)
    heights.add(2, 30000, 0)
    found = heights.distribution(60, [1])
    assert list(found.counts) == [1]
    assert found.edges[-1] == 11.0


def test_the_oldest_of_very_many_heights_are_forgotten() -> None:
    heights = PulseHeights(Clock())
    for _ in range(25_000):
        heights.add(1, 1, 0)
    assert heights.distribution(60).n_images == {1: 20_000}


def test_nothing_has_come() -> None:
    assert PulseHeights(Clock()).distribution(60).counts == {}
