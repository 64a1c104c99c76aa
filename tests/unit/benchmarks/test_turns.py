"""Turns alternate, and the first one does not count."""

from std_benchmarks.turns import take_turns


def test_each_way_is_measured_once_a_turn_and_the_first_turn_does_not_count() -> None:
    calls: list[str] = []

    def way(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    ours, theirs = take_turns([lambda: way("ours"), lambda: way("theirs")], repeats=2)
    assert calls == ["theirs", "ours", "ours", "theirs", "theirs", "ours"]
    assert ours == [3.0, 6.0]
    assert theirs == [4.0, 5.0]
