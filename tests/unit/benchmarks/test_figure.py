"""A figure is judged by the median of its turns' ratios, or by itself where it has no reference."""

import pytest

from std_benchmarks.figure import Figure, Target


def test_ratio_is_the_median_of_the_turns_not_the_ratio_of_the_medians() -> None:
    figure = Figure("copy", "s", [1.0, 4.0, 9.0], "memcpy", [1.0, 1.0, 10.0], Target.at_most(1.0))
    assert figure.ratios == [1.0, 4.0, 0.9]
    assert figure.judged == 1.0
    assert figure.spread == (0.9, 4.0)
    assert figure.is_met is True


def test_without_a_reference_the_figure_itself_is_judged() -> None:
    figure = Figure("rate", "1/s", [3.0, 1.0, 2.0], target=Target.at_least(2.5))
    assert figure.judged == 2.0
    assert figure.is_met is False
    assert figure.reference_value is None


def test_without_a_target_nothing_is_met_or_missed() -> None:
    assert Figure("rate", "1/s", [1.0]).is_met is None


@pytest.mark.parametrize(("ours", "references"), [((), ()), ((1.0, 2.0), (1.0,))])
def test_turns_that_do_not_pair_are_refused(ours: tuple[float, ...], references: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rate"):
        Figure("rate", "1/s", ours, "C", references)


def test_target_holds_at_its_bound() -> None:
    assert Target.at_most(0.8).is_met(0.8)
    assert not Target.at_most(0.8).is_met(0.81)
    assert Target.at_least(1_000_000).is_met(1_000_000)
    assert str(Target.at_least(500_000)) == "≥ 500,000"
