"""What a board or an exporter can do to the events of the other boards by what it says of itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.tpc.building.board_frame import FrameOutcome
from std_daq.tpc.building.event_builder import EventBuilder
from std_daq.tpc.building.run_events import BuiltEvent
from std_daq.tpc.building.stray_numbers import MAX_NEW_RUNS, OWNER_NS
from std_daq.tpc.electronics import Board
from std_test_kit.tpc_streams import MS, TIME_LIMIT_NS, Sent, Truth, boards_of, build, check_promises, new_builder, send

BAD = (1, 0)
N_EVENTS = 250
PERIOD_NS = 10 * MS
GARBAGE = -1


def sent_of(has_common_clock: bool = True, is_first: bool = False, runs: tuple[int, ...] = (N_EVENTS,)) -> list[Sent]:
    """Return the true frames of five boards; the bad one is the first or the last to send each event."""
    boards = boards_of(5)
    frames = send(runs, dict.fromkeys(boards, 0))
    clock = {board: 0 if has_common_clock else 7919 * number for number, board in enumerate(boards)}
    frames = [Sent(one.at_ns, one.truth, one.event_time + clock[one.truth.board]) for one in frames]
    return sorted(frames, key=lambda one: (one.at_ns, (one.truth.board == BAD) != is_first))


def garbage(at_ns: int, event_id: int, event_time: int = 5) -> Sent:
    return Sent(at_ns, Truth(GARBAGE, event_id, BAD), event_time)


def with_garbage(frames: list[Sent], *added: Sent, is_before: bool = True) -> list[Sent]:
    both = [*added, *frames] if is_before else [*frames, *added]
    return sorted(both, key=lambda one: one.at_ns)


def complete(events: list[BuiltEvent[Truth]]) -> list[int]:
    """Return the ids of the events that are complete, and of which nothing is garbage, run by run."""
    found = sorted((event for event in events if not event.missing), key=lambda event: (event.epoch, event.id))
    assert all(truth.run != GARBAGE for event in found for truth in event.payloads.values())
    return [event.id for event in found]


def with_true_boards(events: list[BuiltEvent[Truth]]) -> list[int]:
    """Return the ids of the events in which all boards are but the bad one."""
    return [event.id for event in events if set(event.missing) <= {BAD}]


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("has_common_clock", [False, True])
@pytest.mark.parametrize("at", [0, 1, 100])
@pytest.mark.parametrize("step", [-50, 3, 5, 500, 2**19, 2**31])
def test_one_wrong_number_costs_no_event(step: int, at: int, has_common_clock: bool, is_first: bool) -> None:
    if at + step < 0:
        return
    frames = with_garbage(sent_of(has_common_clock, is_first), garbage(at * PERIOD_NS, at + step))
    builder = new_builder(boards_of(5))
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert complete(events) == list(range(N_EVENTS))


@pytest.mark.parametrize("has_common_clock", [False, True])
def test_frame_that_comes_before_the_first_run_is_not_its_first_event(has_common_clock: bool) -> None:
    frames = [Sent(one.at_ns + 3 * TIME_LIMIT_NS, one.truth, one.event_time) for one in sent_of(has_common_clock)]
    builder = new_builder(boards_of(5))
    events = build([garbage(0, 500), *frames], builder)
    assert complete(events) == list(range(N_EVENTS))


def test_frame_in_a_pause_does_not_make_what_follows_late() -> None:
    frames = [
        Sent(one.at_ns + (3 * TIME_LIMIT_NS if one.truth.event_id >= 100 else 0), one.truth, one.event_time)
        for one in sent_of()
    ]
    builder = new_builder(boards_of(5))
    events = build(with_garbage(frames, garbage(100 * PERIOD_NS + TIME_LIMIT_NS, 2000)), builder)
    assert complete(events) == list(range(N_EVENTS))


@pytest.mark.parametrize("has_common_clock", [False, True])
@pytest.mark.parametrize("numbers", [range(5000, 1000, -20), [0, 1] * 100, [7, 3, 9, 1] * 50])
def test_board_that_counts_nonsense_begins_no_runs_without_end(numbers: list[int], has_common_clock: bool) -> None:
    added = [garbage(100 * PERIOD_NS + n, number, 31 * n) for n, number in enumerate(numbers)]
    frames = with_garbage(sent_of(has_common_clock, runs=(N_EVENTS, 50)), *added)
    builder = new_builder(boards_of(5))
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert len(with_true_boards(events)) == N_EVENTS + 50
    assert builder.newest_epoch <= MAX_NEW_RUNS + 2
    assert complete(events)[-50:] == list(range(50))


@pytest.mark.parametrize("has_common_clock", [False, True])
def test_counter_that_leaps_and_goes_on_takes_no_event_from_the_others(has_common_clock: bool) -> None:
    def leapt(one: Sent) -> Sent:
        run, event_id, board = one.truth
        if board != BAD or run != 0 or not 50 <= event_id < 200:
            return one
        return Sent(one.at_ns, Truth(GARBAGE, event_id + 10**5, board), one.event_time)

    frames = [leapt(one) for one in sent_of(has_common_clock, runs=(N_EVENTS, 50))]
    builder = new_builder(boards_of(5))
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert len(with_true_boards(events)) == N_EVENTS + 50
    # It is in its run again as soon as it counts as the others do.
    assert complete(events) == [*range(50), *range(200, N_EVENTS), *range(50)]


def test_leap_of_all_boards_loses_nothing_and_begins_no_run() -> None:
    frames = [
        Sent(one.at_ns, Truth(0, one.truth.event_id + 5000 * (one.truth.event_id >= 100), one.truth.board), one.at_ns)
        for one in sent_of()
    ]
    builder = new_builder(boards_of(5))
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert (len(complete(events)), builder.newest_epoch) == (N_EVENTS, 0)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_wrong_numbers_now_and_then_cost_themselves_only(data: st.DataObject) -> None:
    at = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=10))
    numbers = st.integers(0, 400) | st.integers(0, 2**32 - 1)
    added = [garbage(10 * one * PERIOD_NS, data.draw(numbers), data.draw(st.integers(0, 3))) for one in sorted(set(at))]
    # What has the number of an event that is open cannot be told from a true frame.
    added = [one for one in added if not -1 <= one.truth.event_id - one.at_ns // PERIOD_NS <= 0]
    frames = with_garbage(sent_of(data.draw(st.booleans()), data.draw(st.booleans())), *added)
    builder = new_builder(boards_of(5))
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert complete(events) == list(range(N_EVENTS))


def feed(builder: EventBuilder[Truth], source: int, event_id: int, board: Board, at_ns: int = 0) -> list[int]:
    sent = Sent(at_ns, Truth(source, event_id, board), event_id)
    return [event.id for event in builder.feed(sent.piece(source))]


def test_board_is_taken_from_the_exporter_that_sends_it_and_from_no_other() -> None:
    boards = boards_of(2)
    builder = new_builder(boards, n_sources=2)
    for source in range(2):
        builder.connect(source)
    assert feed(builder, 0, 0, boards[0]) == []
    for event_id in range(1, 50):
        assert feed(builder, 1, event_id, boards[0]) == []
    assert builder.outcomes[1][FrameOutcome.UNEXPECTED] == 49
    assert builder.disputed == {(boards[0], 1): 49}
    assert feed(builder, 0, 0, boards[1]) == [0]


@pytest.mark.parametrize("is_ended", [False, True])
def test_board_may_come_from_another_exporter_when_the_first_is_silent_or_gone(is_ended: bool) -> None:
    boards = boards_of(2)
    builder = new_builder(boards, n_sources=2)
    for source in range(2):
        builder.connect(source)
    feed(builder, 0, 0, boards[0])
    assert feed(builder, 0, 0, boards[1]) == [0]
    if is_ended:
        builder.disconnect(0)
    later_ns = 0 if is_ended else OWNER_NS
    feed(builder, 1, 1, boards[0], later_ns)
    assert feed(builder, 1, 1, boards[1], later_ns) == [1]
    assert builder.disputed == {}


def test_boards_of_a_cobo_are_announced_by_its_exporter_and_by_no_other() -> None:
    builder = new_builder(None, n_sources=2)
    for source in range(2):
        builder.connect(source)
    builder.announce(0, 4, [(4, 0), (4, 1)])
    builder.announce(1, 4, [])
    assert builder.boards == {(4, 0), (4, 1)}
    assert builder.outcomes[1][FrameOutcome.UNEXPECTED] == 1
    builder.disconnect(0)
    builder.announce(1, 4, [(4, 2)])
    assert builder.boards == {(4, 2)}
