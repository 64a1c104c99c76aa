"""Boards that miss runs, die or begin again, with and without a clock that all share."""

import pytest

from std_daq.tpc.building.board_frame import FrameOutcome
from std_test_kit.tpc_streams import MS, Sent, Truth, boards_of, build, check_promises, new_builder, send

ABSENT = (1, 1)
EVENTS_A_SECOND = 100


def lags_of(n_boards: int) -> dict[tuple[int, int], int]:
    return dict.fromkeys(boards_of(n_boards), 0)


def with_clocks(frames: list[Sent], kind: str) -> list[Sent]:
    """Return the frames with the event times of another kind of clocks.

    Common: one clock for all. Own: each board has its own. Restarted: each board counts from 0 in each run.
    """
    number = {frame.truth.board: n for n, frame in enumerate(frames)}
    if kind == "common":
        return frames
    if kind == "own":
        return [
            Sent(frame.at_ns, frame.truth, frame.event_time + 777_777 * number[frame.truth.board]) for frame in frames
        ]
    return [Sent(frame.at_ns, frame.truth, 1000 * frame.truth.event_id + number[frame.truth.board]) for frame in frames]


def complete_in(events: list, run: int) -> int:
    return sum(not event.missing for event in events if next(iter(event.payloads.values())).run == run)


@pytest.mark.parametrize("clocks", ["common", "own", "restarted"])
@pytest.mark.parametrize("missed", [{1}, {1, 2}, {1, 3}])
@pytest.mark.parametrize("is_first", [False, True])
def test_board_that_misses_runs_is_in_the_next_one(clocks: str, missed: set[int], is_first: bool) -> None:
    runs = [150, 130, 140, 120, 150]
    frames = [f for f in send(runs, lags_of(6)) if f.truth.board != ABSENT or f.truth.run not in missed]
    frames.sort(key=lambda frame: (frame.at_ns, (frame.truth.board == ABSENT) != is_first))
    builder = new_builder(boards_of(6))
    # Between two runs is a pause, as an operator makes it.
    frames = [Sent(frame.at_ns + 1500 * MS * frame.truth.run, frame.truth, frame.event_time) for frame in frames]
    events = build(with_clocks(frames, clocks), builder)
    check_promises(events, builder, len(frames))
    # Without a common clock, a board that begins before all others seems to be late in the run before until one of them
    # has begun, too. Where number and time come again, they are in doubt for one more event.
    n_late = {"common": 0, "own": 1, "restarted": 2}[clocks] if is_first else 0
    for run in {0, 1, 2, 3, 4} - missed:
        assert complete_in(events, run) >= runs[run] - n_late, (run, builder.outcomes)


@pytest.mark.parametrize("clocks", ["common", "own", "restarted"])
def test_board_that_comes_back_within_a_later_run_is_in_that_one(clocks: str) -> None:
    frames = [
        f
        for f in send([150, 150, 150, 150], lags_of(6))
        if f.truth.board != ABSENT or f.truth.run in {0, 3} or (f.truth.run, f.truth.event_id >= 70) == (2, True)
    ]
    builder = new_builder(boards_of(6))
    events = build(with_clocks(frames, clocks), builder)
    check_promises(events, builder, len(frames))
    assert complete_in(events, 0) == 150
    assert complete_in(events, 3) >= 149


@pytest.mark.long
def test_board_that_is_always_late_is_never_mixed_into_a_later_run() -> None:
    lags = lags_of(6) | {ABSENT: 3 * EVENTS_A_SECOND}
    frames = with_clocks(send([80, 80, 80, 80, 80, 80], lags), "own")
    builder = new_builder(lags)
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert builder.n_complete == 0


def test_two_dead_boards_are_both_named_in_every_event() -> None:
    dead = ((0, 2), (1, 1))
    frames = [frame for frame in send([100, 50], lags_of(8)) if frame.truth.board not in dead]
    builder = new_builder(boards_of(8))
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert len(events) == 150
    assert {event.missing for event in events} == {dead}


def test_board_that_restarts_while_its_numbers_go_on_is_complete_again_at_once() -> None:
    frames = [f for f in send([100, 50], lags_of(8)) if f.truth.board != ABSENT or not 30 <= f.truth.event_id < 40]
    builder = new_builder(boards_of(8), n_sources=2)
    events = []
    for frame in frames:
        is_other = frame.truth.board == ABSENT
        if is_other and frame.truth.event_id == 40:
            builder.disconnect(1)
            builder.connect(1)
        events += builder.feed(frame.piece(int(is_other)))
        events += builder.poll(frame.at_ns)
    events += builder.poll(10**12)
    check_promises(events, builder, len(frames))
    assert [event.id for event in events if event.missing] == [*range(30, 40), *range(30, 40)]


def test_clock_that_is_reset_within_a_run_changes_nothing_while_numbers_rise() -> None:
    frames = [
        Sent(f.at_ns, f.truth, f.event_time if f.truth.event_id < 50 else f.event_time % 7)
        for f in send([100], lags_of(6))
    ]
    builder = new_builder(boards_of(6))
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert (builder.n_complete, builder.newest_epoch) == (100, 0)


def test_numbers_that_go_over_32_bits_begin_a_new_run_and_lose_nothing() -> None:
    first = 2**32 - 20
    frames = []
    for frame in send([40], lags_of(6)):
        number = frame.truth.event_id
        run, event_id = (0, first + number) if number < 20 else (1, number - 20)
        frames.append(Sent(frame.at_ns, Truth(run, event_id, frame.truth.board), frame.event_time))
    builder = new_builder(boards_of(6))
    events = build(frames, builder)
    check_promises(events, builder, len(frames))
    assert (builder.n_complete, builder.n_incomplete, builder.newest_epoch) == (40, 0, 1)


def test_topology_that_comes_late_costs_the_frames_before_it_only() -> None:
    builder = new_builder(None, n_sources=2)
    builder.announce(0, 0, [(0, 0), (0, 1)])
    events = []
    frames = send([60], dict.fromkeys([(0, 0), (0, 1), (1, 0)], 0))
    for frame in frames:
        if frame.truth == (0, 30, (0, 0)):
            builder.announce(1, 1, [(1, 0)])
        events += builder.feed(frame.piece(frame.truth.board[0]))
    events += builder.flush()
    assert [event.n_boards for event in events] == [2] * 30 + [3] * 30
    assert builder.n_complete == 60
    assert builder.outcomes[1][FrameOutcome.UNEXPECTED] == 30


def test_frames_that_come_again_over_a_new_connection_are_used_once() -> None:
    builder = new_builder(boards_of(4))
    frames = send([50], lags_of(4))
    again = frames[19 * 4 : 20 * 4]  # the last event before the connection ended, once more
    events = [event for frame in frames[: 20 * 4] for event in builder.feed(frame.piece(0))]
    builder.disconnect(0)
    builder.connect(0)
    for frame in [*again, *frames[20 * 4 :]]:
        events += builder.feed(frame.piece(0))
    check_promises(events, builder, len(frames) + 4)
    assert (builder.n_complete, builder.newest_epoch) == (50, 0)
