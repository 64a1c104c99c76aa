from hypothesis import given
from hypothesis import strategies as st

from std_stream_recv.order import SourceProgress, first_in_order


def test_nothing_comes_next_while_one_source_is_unknown() -> None:
    assert first_in_order([SourceProgress(1, 5, has_entry=True), None]) is None


def test_nothing_comes_next_while_an_earlier_entry_may_still_come() -> None:
    assert first_in_order([SourceProgress(1, 5, has_entry=True), SourceProgress(1, 4, has_entry=False)]) is None


def test_entry_comes_before_what_is_promised_for_its_own_number() -> None:
    assert first_in_order([SourceProgress(1, 5, has_entry=False), SourceProgress(1, 5, has_entry=True)]) == 1


def test_older_ring_comes_first() -> None:
    assert first_in_order([SourceProgress(2, 0, has_entry=True), SourceProgress(1, 99, has_entry=True)]) == 1
    assert first_in_order([SourceProgress(2, 0, has_entry=True), SourceProgress(1, 99, has_entry=False)]) is None


@given(st.data())
def test_entries_of_all_sources_come_in_order_however_they_arrive(data: st.DataObject) -> None:
    """Each source has the numbers that are its own; how far it has come is told now and then."""
    n_sources = data.draw(st.integers(1, 4))
    owners = data.draw(st.lists(st.integers(0, n_sources - 1), max_size=30))
    waiting = [[i for i, owner in enumerate(owners) if owner == source] for source in range(n_sources)]
    come: list[list[int]] = [[] for _ in range(n_sources)]
    passed = [0] * n_sources
    order: list[int] = []
    while len(order) < len(owners):
        progresses = [
            SourceProgress(1, come[source][0] if come[source] else passed[source], bool(come[source]))
            for source in range(n_sources)
        ]
        source = first_in_order(progresses)
        if source is not None:
            order.append(come[source].pop(0))
            passed[source] = max(passed[source], order[-1] + 1)
            continue
        stuck = [source for source in range(n_sources) if not come[source] and passed[source] < len(owners)]
        source = data.draw(st.sampled_from(stuck))
        if waiting[source]:
            come[source].append(waiting[source].pop(0))
        else:
            passed[source] = len(owners)
    assert order == list(range(len(owners)))
