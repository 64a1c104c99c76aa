from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.imaging.config.model import LiveStreamConfig
from std_live_stream.selection import Batch, Forward, Periodic, make_selection


def test_forward_takes_every_image() -> None:
    selection = Forward()
    assert all(selection.selects(sequence, 0.0) for sequence in range(100))


def test_batch_takes_n_images_in_a_row_of_every_m() -> None:
    selection = Batch(2, 5)
    assert [sequence for sequence in range(12) if selection.selects(sequence, 0.0)] == [0, 1, 5, 6, 10, 11]


def test_batch_stays_in_step_when_images_are_missing() -> None:
    selection = Batch(1, 5)
    assert [sequence for sequence in (3, 4, 5, 8, 10, 11, 20) if selection.selects(sequence, 0.0)] == [5, 10, 20]


def taken_times(selection: Periodic, times: list[float]) -> list[float]:
    return [now for sequence, now in enumerate(times) if selection.selects(sequence, now)]


def test_periodic_keeps_its_rate_where_images_come_faster() -> None:
    times = taken_times(Periodic(1, 10.0), [i / 1000 for i in range(10_000)])
    assert len(times) == pytest.approx(100, abs=1)
    assert all(0.099 < later - earlier < 0.102 for earlier, later in pairwise(times))


def test_periodic_rate_that_does_not_divide_that_of_the_images_is_kept_on_average() -> None:
    assert len(taken_times(Periodic(1, 30.0), [i / 100 for i in range(10_000)])) == pytest.approx(3000, abs=1)


def test_periodic_takes_every_image_where_they_come_slower() -> None:
    times = [i / 5 for i in range(50)]
    assert taken_times(Periodic(1, 10.0), times) == times


def test_periodic_takes_rows_of_n_images() -> None:
    selection = Periodic(3, 1.0)
    assert [i for i in range(250) if selection.selects(i, i / 100)] == [0, 1, 2, 100, 101, 102, 200, 201, 202]


def test_after_a_pause_nothing_is_made_up_for() -> None:
    selection = Periodic(1, 10.0)
    assert selection.selects(0, 0.0)
    assert taken_times(selection, [100.0, 100.01, 100.05, 100.099, 100.1]) == [100.0, 100.1]


@given(
    rate_hz=st.floats(0.5, 200.0),
    n=st.integers(1, 5),
    gaps=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=200),
)
def test_periodic_never_sends_more_than_its_rate(rate_hz: float, n: int, gaps: list[float]) -> None:
    selection = Periodic(n, rate_hz)
    now, times = 0.0, []
    for sequence, gap in enumerate(gaps):
        now += gap
        if selection.selects(sequence, now):
            times.append(now)
    # At most one row more than the time has room for.
    assert len(times) <= n * (int((times[-1] - times[0]) * rate_hz + 1e-6) + 2) if times else not gaps


@pytest.mark.parametrize(
    ("kind", "numbers", "selection"),
    [("forward", [], Forward), ("batch", [2, 555], Batch), ("periodic", [1, 5], Periodic)],
)
def test_configuration_names_the_delivery(kind: str, numbers: list[int], selection: type) -> None:
    config = LiveStreamConfig.model_validate({"type": kind, "config": numbers})
    assert isinstance(make_selection(config), selection)
