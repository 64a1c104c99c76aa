import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.recording.id_ranges import format_id_ranges, parse_id_ranges

IDS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 20), max_size=50)


def test_consecutive_ids_become_one_range() -> None:
    assert format_id_ranges([*range(12, 41), 57], 100) == ("12-40,57", 0)


@given(IDS)
def test_ids_come_back_in_their_order(ids: list[int]) -> None:
    text, n_left_out = format_id_ranges(ids, 10_000)
    assert n_left_out == 0
    assert parse_id_ranges(text, 1000) == (tuple(ids), 0)


@given(IDS, st.integers(0, 60))
def test_text_never_exceeds_its_limit_and_every_id_is_accounted_for(ids: list[int], max_chars: int) -> None:
    text, n_left_out = format_id_ranges(ids, max_chars)
    kept, _ = parse_id_ranges(text, 1000)
    assert len(text) <= max_chars
    assert list(kept) == ids[: len(kept)]
    assert len(kept) + n_left_out == len(ids)


def test_a_huge_range_is_not_expanded() -> None:
    ids, n_left_out = parse_id_ranges(f"7,0-{2**64 - 1}", 3)
    assert ids == (7, 0, 1)
    assert n_left_out == 2**64 - 2


@pytest.mark.parametrize("text", ["a", "1-", "-1", "5-4", "1,,2", "1-2-3", "1 ", "9" * 21, "٣"])
def test_what_is_no_list_of_ranges_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a range of ids"):
        parse_id_ranges(text, 10)
