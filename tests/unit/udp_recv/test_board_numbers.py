"""How packet numbers of a board are judged."""

import pytest

from std_udp_recv.board_numbers import MAX_BACK, MAX_DELAY_NS, BoardNumbers, Judgement, NumberOrder

MODULUS = 65536


def judge(*numbers: int, period_ns: int = 1_000_000, repeat_time: bool = False) -> Judgement:
    """Feed packets of one board, one after another, and return the judgement of the last."""
    board = BoardNumbers(MODULUS)
    judgement = Judgement(NumberOrder.FIRST)
    for i, number in enumerate(numbers):
        time_ns = number if repeat_time else i * period_ns
        judgement = board.feed(number, time_ns, i * period_ns)
    return judgement


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((500,), Judgement(NumberOrder.FIRST)),
        ((500, 501), Judgement(NumberOrder.NEXT)),
        ((65535, 0), Judgement(NumberOrder.NEXT)),
        ((500, 504), Judgement(NumberOrder.NEXT, 3)),
        ((65534, 2), Judgement(NumberOrder.NEXT, 3)),
        ((500, 6500), Judgement(NumberOrder.NEXT, 5999)),
        ((500, 502, 501), Judgement(NumberOrder.LATE)),
        ((65535, 1, 0), Judgement(NumberOrder.LATE)),
        ((40_000, 0), Judgement(NumberOrder.RESTARTED)),
        ((40_000, 3), Judgement(NumberOrder.RESTARTED)),
        ((5, 60_000), Judgement(NumberOrder.RESTARTED)),
        ((3000, 3000 - MAX_BACK - 1), Judgement(NumberOrder.RESTARTED)),
    ],
)
def test_number_is_judged_by_those_before(numbers: tuple[int, ...], expected: Judgement) -> None:
    assert judge(*numbers) == expected


def test_packet_that_the_network_doubles_is_a_duplicate() -> None:
    assert judge(7, 8, 8, repeat_time=True).order is NumberOrder.DUPLICATE
    assert judge(7, 8, 9, 8, repeat_time=True).order is NumberOrder.DUPLICATE


def test_late_packet_that_comes_twice_is_a_duplicate() -> None:
    assert judge(7, 9, 8, 8, repeat_time=True).order is NumberOrder.DUPLICATE


def test_board_that_counts_anew_after_few_packets_has_restarted() -> None:
    assert judge(0, 1, 2, 0).order is NumberOrder.RESTARTED
    assert judge(0, 1, 2, 0, 1).order is NumberOrder.NEXT


def test_capture_that_is_played_again_later_is_no_duplicate() -> None:
    assert judge(2086, 2087, 2086, period_ns=MAX_DELAY_NS + 1, repeat_time=True).order is NumberOrder.RESTARTED


def test_number_that_was_left_out_and_comes_after_a_second_is_a_restart() -> None:
    assert judge(500, 502, 501, period_ns=MAX_DELAY_NS + 1).order is NumberOrder.RESTARTED


def test_every_number_of_a_long_series_follows() -> None:
    board = BoardNumbers(MODULUS)
    judgements = {board.feed(n % MODULUS, n, n * 1_000_000) for n in range(40_000, 40_000 + MODULUS + 10)}
    assert judgements == {Judgement(NumberOrder.FIRST), Judgement(NumberOrder.NEXT)}
