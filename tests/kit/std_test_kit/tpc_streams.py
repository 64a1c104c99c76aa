"""Streams of frames with known truth, for tests of the event builder."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from std_daq.tpc.building.board_frame import BoardFrame, FrameOutcome
from std_daq.tpc.building.event_builder import EventBuilder
from std_daq.tpc.building.run_events import BuiltEvent
from std_daq.tpc.electronics import Board

MS = 1_000_000
TIME_LIMIT_NS = 1000 * MS


class Truth(NamedTuple):
    """What a frame really is: its run, its event and its board."""

    run: int
    event_id: int
    board: Board


@dataclass(frozen=True)
class Sent:
    """A frame that is sent at a time."""

    at_ns: int
    truth: Truth
    event_time: int

    def piece(self, source: int) -> BoardFrame[Truth]:
        truth = self.truth
        return BoardFrame(source, truth.board, truth.event_id, self.event_time, truth, 100, self.at_ns)


def boards_of(n_boards: int) -> list[Board]:
    return [(number // 4, number % 4) for number in range(n_boards)]


def triggers(runs: Sequence[int], period_ns: int = 10 * MS) -> list[tuple[int, int, int]]:
    """Return time, run and number of each trigger, for runs of these lengths."""
    numbers = [(run, number) for run, length in enumerate(runs) for number in range(length)]
    return [(index * period_ns, run, number) for index, (run, number) in enumerate(numbers)]


def send(runs: Sequence[int], lags: dict[Board, int], period_ns: int = 10 * MS) -> list[Sent]:
    """Return the frames of all boards in the order of their times; ``lags`` tells by how many events each is late."""
    frames = [
        Sent(at_ns + lag * period_ns, Truth(run, number, board), at_ns // 10)
        for at_ns, run, number in triggers(runs, period_ns)
        for board, lag in lags.items()
    ]
    return sorted(frames, key=lambda frame: frame.at_ns)


def build(
    frames: Iterable[Sent], builder: EventBuilder[Truth], poll_ns: int = 50 * MS, source: int = 0
) -> list[BuiltEvent[Truth]]:
    """Feed the frames at their times, and poll between them and afterwards, until the last time limit is over."""
    events: list[BuiltEvent[Truth]] = []
    now_ns = 0
    for frame in frames:
        while now_ns + poll_ns <= frame.at_ns:
            now_ns += poll_ns
            events += builder.poll(now_ns)
        events += builder.feed(frame.piece(source))
    return [*events, *builder.poll(now_ns + poll_ns + TIME_LIMIT_NS)]


def new_builder(boards: Iterable[Board] | None, n_sources: int = 1) -> EventBuilder[Truth]:
    return EventBuilder(n_sources, boards, time_limit_ns=TIME_LIMIT_NS, max_held_bytes=10**9)


def check_promises(events: list[BuiltEvent[Truth]], builder: EventBuilder[Truth], n_frames: int) -> None:
    """Check what holds whatever was sent: nothing is mixed, the order, and the account of the frames."""
    last: dict[int, int] = defaultdict(lambda: -1)
    for event in events:
        truths = set(event.payloads.values())
        assert {truth.event_id for truth in truths} == {event.id}
        assert len({truth.run for truth in truths}) == 1, f"event {event.id} mixes runs"
        assert all(truth.board == board for board, truth in event.payloads.items())
        assert set(event.missing) == builder.boards - event.payloads.keys()
        assert event.id > last[event.epoch]
        last[event.epoch] = event.id
    assert sum(map(sum, (counts.values() for counts in builder.outcomes))) + builder.n_doubtful == n_frames
    used = sum(counts[FrameOutcome.USED] for counts in builder.outcomes)
    assert used == sum(len(event.payloads) for event in events)
    assert builder.n_complete == sum(not event.missing for event in events)
    assert builder.n_incomplete == len(events) - builder.n_complete
