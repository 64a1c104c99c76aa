"""The cases that chambers make, and the promises of the builder."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.tpc.building.board_frame import BoardFrame, FrameOutcome
from std_daq.tpc.building.event_builder import EventBuilder
from std_test_kit.tpc_streams import (
    MS,
    TIME_LIMIT_NS,
    Sent,
    Truth,
    boards_of,
    build,
    check_promises,
    new_builder,
    send,
)

N_EVENTS = 200
COBO_10 = (10, 0)


def lags_of(n_boards: int, late_by: int = 0) -> dict[tuple[int, int], int]:
    """Return the lags of boards: those of the first CoBo are late."""
    return {board: late_by if board[0] == 0 else 0 for board in boards_of(n_boards)}


@pytest.mark.parametrize(
    ("n_boards", "late_by", "runs"),
    [
        (40, 0, [N_EVENTS]),
        (44, 0, [N_EVENTS]),
        (40, 5, [N_EVENTS]),
        (40, 9, [N_EVENTS]),
        (40, 15, [N_EVENTS]),
        (40, 0, [5, N_EVENTS - 5]),
        (40, 15, [5, N_EVENTS - 5]),
        (40, 15, [5, 3, 1, 2, N_EVENTS - 11]),
        (1, 0, [N_EVENTS]),
        (1, 0, [5, N_EVENTS - 5]),
    ],
)
def test_every_event_is_complete_and_none_is_mixed(n_boards: int, late_by: int, runs: list[int]) -> None:
    lags = lags_of(n_boards, late_by)
    builder = new_builder(lags)
    frames = send(runs, lags)
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert [(event.epoch, event.id) for event in events if not event.missing] == [
        (run, number) for run, length in enumerate(runs) for number in range(length)
    ]
    assert builder.outcomes[0][FrameOutcome.USED] == len(frames)


def test_a_tenth_of_the_frames_twice_changes_nothing() -> None:
    lags = lags_of(40)
    frames = send([N_EVENTS], lags)
    choice = random.Random(1)
    doubled = [frame for frame in frames for _ in range(1 + (choice.random() < 0.1))]
    builder = new_builder(lags)
    events = build(doubled, builder)
    check_promises(events, builder, len(doubled))
    assert len(events) == builder.n_complete == N_EVENTS
    assert builder.outcomes[0][FrameOutcome.DUPLICATE] == len(doubled) - len(frames) > 600


def test_second_copies_that_come_a_few_events_later_begin_no_run() -> None:
    lags = lags_of(8)
    frames = send([N_EVENTS], lags)
    copies = [Sent(frame.at_ns + 40 * MS + 1, frame.truth, frame.event_time) for frame in frames[10::7]]
    builder = new_builder(lags)
    events = build(sorted([*frames, *copies], key=lambda frame: frame.at_ns), builder)
    check_promises(events, builder, len(frames) + len(copies))
    assert builder.n_complete == N_EVENTS
    assert builder.newest_epoch == 0
    assert builder.outcomes[0][FrameOutcome.DUPLICATE] == len(copies)


def test_run_whose_clock_begins_again_with_its_numbers_is_a_new_run() -> None:
    lags = lags_of(40, 15)
    frames = [Sent(frame.at_ns, frame.truth, 1000 * frame.truth.event_id) for frame in send([5, 195], lags)]
    builder = new_builder(lags)
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert builder.n_complete == N_EVENTS
    assert builder.newest_epoch == 1


def test_dead_board_makes_every_event_incomplete_and_says_so() -> None:
    lags = lags_of(40)
    builder = new_builder(lags)
    frames = [frame for frame in send([N_EVENTS], lags) if frame.truth.board != (3, 2)]
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert [event.id for event in events] == list(range(N_EVENTS))
    assert {event.missing for event in events} == {((3, 2),)}


def test_board_that_begins_again_within_a_run_disturbs_no_later_run() -> None:
    lags = lags_of(8)
    frames = [frame for frame in send([50, 50], lags) if frame.truth != (0, 30, (0, 0))]
    glitch = Sent(300 * MS, Truth(7, 2, (0, 0)), 12345)
    frames = sorted([*frames, glitch], key=lambda frame: frame.at_ns)
    builder = new_builder(lags)
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    complete = [event for event in events if not event.missing]
    assert len(complete) >= 30 + 50
    assert {next(iter(event.payloads.values())).run for event in complete} == {0, 1}


def test_absurd_number_costs_its_own_event_only() -> None:
    lags = lags_of(8)
    frames = send([50], lags)
    at = next(i for i, frame in enumerate(frames) if frame.truth == (0, 20, (1, 1)))
    frames[at] = Sent(frames[at].at_ns, Truth(9, 2**32 - 5, (1, 1)), 1)
    builder = new_builder(lags)
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert builder.n_complete == 49
    assert [event.id for event in events] == list(range(50))
    assert builder.outcomes[0][FrameOutcome.DAMAGED] == 1


def test_event_is_given_out_with_its_last_frame_and_not_before() -> None:
    builder = new_builder(boards_of(3))
    frames = send([3], dict.fromkeys(boards_of(3), 0))
    assert builder.feed(frames[0].piece(0)) == []
    assert builder.feed(frames[1].piece(0)) == []
    (event,) = builder.feed(frames[2].piece(0))
    assert (event.id, event.missing, event.n_boards) == (0, (), 3)


def test_complete_event_waits_for_an_older_one_but_not_for_another_run() -> None:
    boards = boards_of(2)
    builder = new_builder(boards)

    def feed(board: int, event_id: int, event_time: int, at_ns: int = 0) -> list[int]:
        sent = Sent(at_ns, Truth(0, event_id, boards[board]), event_time)
        return [event.id for event in builder.feed(sent.piece(0))]

    assert feed(0, 5, 50) == []
    assert feed(0, 6, 60) == []
    assert feed(1, 6, 60) == []  # complete, but 5 waits
    assert feed(0, 0, 90) == []  # a new run
    assert feed(1, 0, 90) == [0]
    assert [event.id for event in builder.poll(TIME_LIMIT_NS)] == [5, 6]


def test_event_of_the_time_limit_takes_lower_ones_with_it() -> None:
    boards = boards_of(2)
    builder = new_builder(boards)
    builder.feed(Sent(0, Truth(0, 7, boards[0]), 70).piece(0))
    builder.feed(Sent(500 * MS, Truth(0, 6, boards[0]), 60).piece(0))
    assert builder.poll(TIME_LIMIT_NS - 1) == []
    assert [event.id for event in builder.poll(TIME_LIMIT_NS)] == [6, 7]


def test_neighbours_within_a_board_may_change_places() -> None:
    lags = lags_of(4)
    frames = send([60], lags)
    ours = [i for i, frame in enumerate(frames) if frame.truth.board == (0, 1)]
    for first, second in zip(ours[10::5], ours[11::5], strict=True):
        frames[first], frames[second] = frames[second], frames[first]
    builder = new_builder(lags)
    events = [event for frame in frames for event in builder.feed(frame.piece(0))]
    check_promises(events, builder, len(frames))
    assert builder.n_complete == 60
    assert builder.newest_epoch == 0


def test_frame_of_an_event_that_was_given_out_is_late() -> None:
    boards = boards_of(2)
    builder = new_builder(boards)
    builder.feed(Sent(0, Truth(0, 0, boards[0]), 0).piece(0))
    assert [event.missing for event in builder.poll(TIME_LIMIT_NS)] == [(boards[1],)]
    assert builder.feed(Sent(TIME_LIMIT_NS + 1, Truth(0, 0, boards[1]), 0).piece(0)) == []
    assert builder.outcomes[0][FrameOutcome.LATE] == 1


def test_board_that_is_not_among_the_boards_is_unexpected() -> None:
    builder = new_builder(boards_of(2))
    assert builder.feed(Sent(0, Truth(0, 0, (9, 9)), 0).piece(0)) == []
    assert builder.outcomes[0][FrameOutcome.UNEXPECTED] == 1
    assert builder.n_open == 0


def test_topology_frames_announce_the_boards() -> None:
    builder = new_builder(None)
    first = Sent(0, Truth(0, 0, (4, 0)), 0)
    builder.feed(first.piece(0))
    assert builder.outcomes[0][FrameOutcome.UNEXPECTED] == 1
    builder.announce(0, 4, [(4, 0), (4, 1)])
    assert builder.feed(first.piece(0)) == []
    (event,) = builder.feed(Sent(0, Truth(0, 0, (4, 1)), 0).piece(0))
    assert event.n_boards == 2
    builder.feed(Sent(0, Truth(0, 1, (4, 0)), 10).piece(0))
    (event,) = builder.announce(0, 4, [(4, 0)])
    assert (event.id, event.missing) == (1, ())
    assert builder.outcomes[0][FrameOutcome.TOPOLOGY] == 2


def test_board_that_was_away_joins_the_newest_run() -> None:
    lags = lags_of(8)
    frames = send([20, 10, 30], lags)
    builder = new_builder(lags, n_sources=2)
    away = (1, 3)
    events = []
    for frame in frames:
        if frame.truth.board == away and (frame.truth.run, frame.truth.event_id) == (0, 10):
            builder.disconnect(1)
        if frame.truth == (2, 0, (0, 0)):
            builder.connect(1)
        is_there = frame.truth.board != away or frame.truth.run == 2 or frame.truth[:2] < (0, 10)
        if is_there:
            events += builder.feed(frame.piece(int(frame.truth.board == away)))
        events += builder.poll(frame.at_ns)
    events += builder.poll(10**12)
    check_promises(events, builder, len(frames) - 20)
    assert sum(not event.missing for event in events if event.epoch == 2) == 30


def test_all_boards_that_were_away_begin_a_new_run_together() -> None:
    lags = lags_of(8)
    builder = new_builder(lags)
    events = []
    for frame in send([20, 30], lags):
        if frame.truth == (1, 0, (0, 0)):
            builder.disconnect(0)
            builder.connect(0)
        events += builder.feed(frame.piece(0))
    check_promises(events, builder, 50 * 8)
    assert builder.n_complete == 50


def test_board_that_missed_a_run_is_found_again_by_its_event_times() -> None:
    lags = lags_of(8)
    frames = [frame for frame in send([20, 5, 30], lags) if not (frame.truth.run == 1 and frame.truth.board == (1, 1))]
    frames.sort(key=lambda frame: (frame.at_ns, frame.truth.board == (1, 1)))
    builder = new_builder(lags)
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert sum(not event.missing for event in events) == 50


def test_times_of_the_two_clocks_are_kept_apart() -> None:
    builder = new_builder([(0, 0), COBO_10])
    builder.feed(Sent(0, Truth(0, 3, COBO_10), 777).piece(0))
    (event,) = builder.feed(Sent(0, Truth(0, 3, (0, 0)), 55).piece(0))
    assert (event.timestamp, event.timestamp_other) == (55, 777)


def test_memory_is_bounded_by_giving_out_the_oldest_events() -> None:
    boards = boards_of(2)
    builder: EventBuilder[Truth] = EventBuilder(1, boards, time_limit_ns=10**15, max_held_bytes=1000)
    events = []
    for event_id in range(50):
        events += builder.feed(Sent(0, Truth(0, event_id, boards[0]), event_id).piece(0))
        assert builder.n_open <= 10
    assert [event.id for event in events] == list(range(40))
    assert builder.n_crowded == 40


def test_payload_that_waits_is_kept_in_memory_of_its_own() -> None:
    builder: EventBuilder[list[int]] = EventBuilder(
        1, boards_of(2), time_limit_ns=TIME_LIMIT_NS, max_held_bytes=1000, keep=lambda payload: [*payload, 1]
    )
    builder.feed(BoardFrame(0, (0, 0), 0, 0, [0], 100, 0))
    builder.poll(50 * MS)
    builder.poll(200 * MS)
    builder.poll(300 * MS)
    (event,) = builder.flush()
    assert event.payloads == {(0, 0): [0, 1]}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_nothing_is_mixed_or_lost_whatever_boards_do(data: st.DataObject) -> None:
    n_boards = data.draw(st.integers(1, 6))
    runs = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    boards = boards_of(n_boards)
    lags = {board: data.draw(st.integers(0, 30)) for board in boards}
    has_common_clock = data.draw(st.booleans())
    frames = []
    for frame in send(runs, lags):
        number = boards.index(frame.truth.board)
        frames.append(Sent(frame.at_ns, frame.truth, frame.event_time + (0 if has_common_clock else number * 7)))
    twice = data.draw(st.sets(st.integers(0, len(frames) - 1), max_size=10))
    frames = [frame for index, frame in enumerate(frames) for _ in range(1 + (index in twice))]
    builder = new_builder(boards)
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert [event for event in events if event.missing] == []
    assert [(event.epoch, event.id) for event in events] == [
        (run, number) for run, length in enumerate(runs) if length for number in range(length)
    ]
    assert builder.outcomes[0][FrameOutcome.DUPLICATE] == len(twice)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_account_adds_up_whatever_comes(data: st.DataObject) -> None:
    boards = boards_of(4)
    builder = new_builder(boards, n_sources=2)
    n_frames, now_ns = 0, 0
    events = []
    last: dict[int, int] = {}
    for _ in range(data.draw(st.integers(1, 120))):
        now_ns += data.draw(st.integers(0, 300)) * MS
        match data.draw(st.integers(0, 12)):
            case 0:
                source = data.draw(st.integers(0, 1))
                builder.disconnect(source)
                builder.connect(source)
            case 1:
                events += builder.poll(now_ns)
            case _:
                board = data.draw(st.sampled_from([*boards, (200, 3)]))
                event_id = data.draw(st.integers(0, 6) | st.integers(0, 2**32 - 1))
                sent = Sent(now_ns, Truth(0, event_id, board), data.draw(st.integers(0, 5)))
                events += builder.feed(sent.piece(data.draw(st.integers(0, 1))))
                n_frames += 1
    events += builder.poll(now_ns + TIME_LIMIT_NS)
    events += builder.flush()
    assert sum(map(sum, (counts.values() for counts in builder.outcomes))) == n_frames
    assert sum(counts[FrameOutcome.USED] for counts in builder.outcomes) == sum(len(event.payloads) for event in events)
    assert builder.n_open == builder.n_doubtful == 0
    for event in events:
        assert event.id > last.get(event.epoch, -1)
        last[event.epoch] = event.id
        assert {truth.event_id for truth in event.payloads.values()} == {event.id}
