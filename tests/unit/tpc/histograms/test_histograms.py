"""Histograms of estimates, by run and of the last minutes."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.tpc.histograms.axis import Axis
from std_daq.tpc.histograms.definitions import DEFINITIONS, KINEMATICS, PARTICLE_ID, POLAR_ANGLE
from std_daq.tpc.histograms.histogram_set import HistogramSet, bins_of
from std_daq.tpc.histograms.message import HistogramMessage
from std_daq.tpc.histograms.recent_histograms import RecentHistograms
from std_daq.tpc.histograms.run_histograms import N_RUNS, RunHistograms

COLUMNS = [(name, "<f8") for name in ("brho", "polar", "azimuthal", "sqrt_dEdx", "vertex_z")]


def _estimates(*rows: tuple[float, float, float, float, float]) -> NDArray[np.void]:
    return np.array(list(rows), COLUMNS)


ONE = _estimates((0.5, np.pi / 2, np.pi, 100.0, 500.0))


def _same(one: HistogramSet, other: HistogramSet) -> bool:
    same = all(np.array_equal(one.counts[name], other.counts[name]) for name in one.counts)
    return same and one.tally == other.tally and one.n_outside == other.n_outside


def test_the_last_bin_ends_before_the_end_of_the_axis() -> None:
    axis = Axis("brho", "Brho", "T m", 3, 0, 3)
    values = [-1e-9, 0, 0.999, 1, 2.999, np.nextafter(3, 0), 3, np.nan, np.inf, -np.inf]
    estimates = np.array([(value,) for value in values], [("brho", "<f8")])
    assert axis.bins_of(estimates).tolist() == [-1, 0, 0, 1, 2, 2, -1, -1, -1, -1]
    assert axis.centres.tolist() == [0.5, 1.5, 2.5]


@given(st.lists(st.floats(0, 180, exclude_max=True), max_size=50))
def test_each_angle_is_in_the_bin_of_its_degrees(angles: list[float]) -> None:
    estimates = np.array([(np.radians(angle),) for angle in angles], [("polar", "<f8")])
    bins = POLAR_ANGLE.axes[0].bins_of(estimates)
    for angle, found in zip(angles, bins.tolist(), strict=True):
        assert abs(angle - (found + 0.5)) <= 0.5 + 1e-9


def test_an_angle_is_counted_in_degrees_and_the_first_axis_has_the_rows() -> None:
    histograms = HistogramSet()
    histograms.add(bins_of(ONE))
    assert np.argwhere(histograms.counts["kinematics"]).tolist() == [[90, int(0.5 / 3 * 512)]]
    assert np.argwhere(histograms.counts["particle_id"]).tolist() == [[256, int(0.5 / 3 * 512)]]
    assert np.argwhere(histograms.counts["polar_angle"]).tolist() == [[90]]
    assert KINEMATICS.shape == (180, 512)
    assert PARTICLE_ID.shape == (512, 512)


def test_estimates_outside_are_counted_for_each_histogram() -> None:
    histograms = HistogramSet()
    histograms.add(bins_of(_estimates((5.0, 1.0, 1.0, 100.0, 500.0), (np.nan, np.nan, 1.0, 100.0, 500.0))))
    assert histograms.n_outside == {
        "particle_id": 2, "kinematics": 2, "polar_angle": 1, "azimuthal_angle": 0, "brho": 2, "vertex_z": 0,
    }  # fmt: skip


def test_two_estimates_of_one_bin_count_twice() -> None:
    histograms = HistogramSet()
    histograms.add(bins_of(np.concatenate([ONE, ONE])))
    assert histograms.counts["brho"].max() == 2
    histograms.subtract(bins_of(np.concatenate([ONE, ONE])))
    assert not any(counts.any() for counts in histograms.counts.values())


def test_each_run_has_histograms_of_its_own() -> None:
    runs = RunHistograms()
    assert runs.epoch is None
    assert runs.current.tally.n_events == 0
    runs.add(0, ONE)
    runs.add(1, np.concatenate([ONE, ONE]))
    runs.add(0, ONE[:0])  # an event of the run before, which a worker was slow with
    assert runs.epoch == 1
    old, new = runs.of_run(0), runs.current
    assert old is not None
    assert (old.tally.n_events, old.tally.n_estimates) == (2, 1)
    assert (new.tally.n_events, new.tally.n_estimates) == (1, 2)


def test_events_that_were_left_out_are_told() -> None:
    runs = RunHistograms()
    runs.add(3, ONE)
    runs.leave_out(3, 7)
    assert (runs.current.tally.n_events, runs.current.tally.n_left_out) == (1, 7)


def test_a_reset_concerns_the_newest_run_alone() -> None:
    runs = RunHistograms()
    runs.reset()
    runs.add(0, ONE)
    runs.add(1, ONE)
    runs.leave_out(1)
    runs.reset()
    assert _same(runs.current, HistogramSet())
    assert runs.of_run(0) is not None
    runs.add(1, ONE)
    assert runs.current.tally.n_events == 1


def test_the_oldest_runs_go_and_their_late_events_are_counted() -> None:
    runs = RunHistograms()
    for epoch in range(1, N_RUNS + 2):
        runs.add(epoch, ONE)
    runs.add(1, ONE)
    runs.leave_out(0)
    assert runs.n_late == 2
    assert runs.of_run(1) is None
    assert runs.epoch == N_RUNS + 1


@st.composite
def _times(draw: st.DrawFn) -> list[tuple[float, int]]:
    steps = draw(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3)), max_size=40))
    times = np.cumsum([step for step, _ in steps]) if steps else []
    return [(float(time), n) for time, (_, n) in zip(times, steps, strict=True)]


@given(_times(), st.floats(0, 30))
def test_the_last_minutes_hold_what_came_in_them(events: list[tuple[float, int]], later: float) -> None:
    recent, window = RecentHistograms(10.0), 10.0
    for time, n in events:
        recent.add(np.repeat(ONE, n), time)
        recent.leave_out(time)
    now = (events[-1][0] if events else 0.0) + later
    current = recent.current(now)
    surely = [n for time, n in events if now - time < window]
    perhaps = [n for time, n in events if now - time < window + 1]  # the second in which they came is not over
    assert len(surely) <= current.tally.n_events <= len(perhaps)
    assert current.tally.n_left_out == current.tally.n_events
    assert current.counts["brho"].sum() == current.tally.n_estimates
    assert sum(surely) <= current.tally.n_estimates <= sum(perhaps)


def test_the_last_minutes_begin_again_after_a_reset() -> None:
    recent = RecentHistograms(60.0)
    recent.add(ONE, 0.0)
    recent.reset()
    assert _same(recent.current(1.0), HistogramSet())
    recent.add(ONE, 2.0)
    assert recent.current(2.0).tally.n_events == 1
    assert _same(recent.current(1000.0), HistogramSet())


def _messages() -> Iterator[HistogramMessage]:
    runs, recent = RunHistograms(), RecentHistograms(60.0)
    yield HistogramMessage.of_run(runs.epoch, runs.current)
    runs.add(2, ONE)
    runs.leave_out(2)
    recent.add(ONE, 1.0)
    yield HistogramMessage.of_run(runs.epoch, runs.current)
    yield HistogramMessage.of_window(recent.window_s, recent.current(1.0))


@pytest.mark.parametrize("message", list(_messages()), ids=lambda message: f"{message.scope} {message.epoch}")
def test_a_message_comes_as_it_was_sent(message: HistogramMessage) -> None:
    got = HistogramMessage.of_frames(message.frames())
    assert got.frames() == message.frames()
    assert (got.scope, got.epoch, got.window_s, got.tally) == (
        message.scope,
        message.epoch,
        message.window_s,
        message.tally,
    )
    assert all(np.array_equal(got.counts[name], message.counts[name]) for name in message.counts)


def test_what_is_no_message_is_refused() -> None:
    frames = next(_messages()).frames()
    other = [frames[0].replace(b'"version": 1', b'"version": 9'), *frames[1:]]
    for wrong in (
        [],
        [b"{}"],
        [b"[]"],
        [b"\xff", b""],
        frames[:-1],
        [*frames[:-1], b"x"],
        [*frames[:-1], frames[1]],
        other,
    ):
        with pytest.raises(ValueError, match=r".+"):
            HistogramMessage.of_frames(wrong)


def test_names_are_different() -> None:
    assert len({one.name for one in DEFINITIONS}) == len(DEFINITIONS)
