"""The search for the highest rate, against receivers and senders of known speed."""

from hypothesis import given
from hypothesis import strategies as st

from std_benchmarks.receiving.rate_search import HighestRate, Trial, bisect, confirm, twice

SPEEDS = st.floats(min_value=0.1e9, max_value=10e9)


class FakeReceiver:
    """Loses what comes faster than it can receive; counts the trials, and at which rates they were."""

    def __init__(self, receiver: float, sender: float, *, n_interruptions: int = 0) -> None:
        self.receiver, self.sender = receiver, sender
        self.n_interruptions = n_interruptions
        self.rates: list[float | None] = []

    def attempt(self, rate: float | None) -> Trial:
        self.rates.append(rate)
        reached = self.sender if rate is None else min(rate, self.sender)
        if self.n_interruptions:
            self.n_interruptions -= 1
            return Trial(reached, is_lossless=False)
        return Trial(reached, reached <= self.receiver)


@given(receiver=SPEEDS, sender=SPEEDS)
def test_bisection_comes_as_close_as_its_steps_allow_and_never_above(receiver: float, sender: float) -> None:
    fake = FakeReceiver(receiver, sender)
    found = bisect(fake.attempt, 6)
    assert found.bytes_per_s <= min(receiver, sender)
    assert found.bytes_per_s >= min(receiver, sender) - sender / 2**6
    assert found.is_sender_the_limit == (sender <= receiver)
    assert len(fake.rates) == (1 if found.is_sender_the_limit else 7)


def test_what_a_sender_at_its_limit_does_not_overrun_is_found_at_once() -> None:
    assert bisect(FakeReceiver(5e9, 4e9).attempt, 6) == HighestRate(4e9, is_sender_the_limit=True)


def test_of_a_rate_that_does_not_hold_shares_are_tried() -> None:
    fake = FakeReceiver(0.85e9, 4e9)
    confirmed = confirm(fake.attempt, HighestRate(1e9, is_sender_the_limit=False), (0.95, 0.9, 0.8, 0.5))
    assert fake.rates == [0.95e9, 0.9e9, 0.8e9]
    assert confirmed == HighestRate(0.8e9, is_sender_the_limit=False)


def test_a_sender_that_was_the_limit_goes_as_fast_as_it_can_in_the_long_trial_too() -> None:
    found = HighestRate(4e9, is_sender_the_limit=True)
    assert confirm(FakeReceiver(5e9, 4e9).attempt, found, (0.95,)) == found
    overrun = FakeReceiver(3.9e9, 4e9)
    assert confirm(overrun.attempt, found, (0.95,)) == HighestRate(3.8e9, is_sender_the_limit=False)
    assert overrun.rates == [None, 3.8e9]


def test_where_no_rate_holds_there_is_none() -> None:
    fake = FakeReceiver(0.0, 4e9)
    assert confirm(fake.attempt, HighestRate(1e9, is_sender_the_limit=False), (0.9, 0.5)).bytes_per_s == 0
    assert len(fake.rates) == 2


def test_one_interruption_is_forgiven_and_a_second_at_the_same_rate_is_not() -> None:
    once, again = FakeReceiver(5e9, 4e9, n_interruptions=1), FakeReceiver(5e9, 4e9, n_interruptions=2)
    assert twice(once.attempt)(1e9).is_lossless
    assert not twice(again.attempt)(1e9).is_lossless
    assert once.rates == again.rates == [1e9, 1e9]
