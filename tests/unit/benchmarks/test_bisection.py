import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_benchmarks.bisection import confirmed, highest


@given(limit=st.floats(0.1, 10_000), resolution=st.floats(1.01, 2))
def test_the_highest_rate_is_found_as_closely_as_asked_for(limit: float, resolution: float) -> None:
    found = highest(lambda rate: rate <= limit, 1.0, 1000.0, resolution=resolution)
    if limit < 1:
        assert found == 0
    else:
        assert found <= limit
        assert found == 1000 or found * resolution >= limit


def test_no_rate_is_tried_twice() -> None:
    tried: list[float] = []

    def works(rate: float) -> bool:
        tried.append(rate)
        return rate < 77

    highest(works, 10, 500)
    assert len(tried) == len(set(tried))


def test_a_rate_that_a_longer_trial_does_not_confirm_is_lowered_step_by_step() -> None:
    assert confirmed(lambda rate: rate < 90, 100, step=1.1) == pytest.approx(100 / 1.1 / 1.1)


def test_no_rate_is_confirmed_that_does_not_work() -> None:
    tried: list[float] = []

    def fails(rate: float) -> bool:
        tried.append(rate)
        return False

    assert confirmed(fails, 100, n_steps=3) == 0
    assert len(tried) == 3


@pytest.mark.parametrize(("low", "high", "resolution"), [(0, 10, 1.1), (10, 10, 1.1), (1, 10, 1.0)])
def test_a_range_that_is_none_is_refused(low: float, high: float, resolution: float) -> None:
    with pytest.raises(ValueError, match="resolution"):
        highest(lambda _: True, low, high, resolution=resolution)
