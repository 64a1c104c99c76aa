"""Which event is analysed next, and which are left out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.tpc.events.board_bits import boards_to_bits
from std_daq.tpc.events.event_buffer import ROW_BYTES, EventBuffer
from std_event_analysis.backlog import Backlog

N_TRACES = 100


def publish(ring: EventBuffer, n_events: int) -> None:
    for event_id in range(n_events):
        ring.begin_event(N_TRACES)[:] = 0
        ring.publish(
            event_id=event_id, epoch=0, n_traces=N_TRACES, timestamp=0, timestamp_other=0, n_boards=1,
            missing_bits=boards_to_bits(()), first_arrival_ns=1, built_ns=2,
        )  # fmt: skip


@pytest.fixture
def ring(shm_dir: Path) -> Iterator[EventBuffer]:
    ring, _ = EventBuffer.create(
        shm_dir / "chamber-events", buffer_bytes=10 * N_TRACES * ROW_BYTES, max_traces=N_TRACES
    )
    yield ring
    ring.close()


@pytest.fixture
def backlog(ring: EventBuffer, shm_dir: Path) -> Iterator[Backlog]:
    backlog = Backlog(shm_dir / "chamber-events")
    yield backlog
    backlog.close()


def test_newest_event_comes_first_and_then_the_others(ring: EventBuffer, backlog: Backlog) -> None:
    publish(ring, 3)
    backlog.look()
    assert backlog.take() == 2
    publish(ring, 1)
    backlog.look()
    assert [backlog.take() for _ in range(4)] == [3, 1, 0, None]
    assert backlog.n_left_out == 0


def test_overwritten_events_are_left_out_and_counted(ring: EventBuffer, backlog: Backlog) -> None:
    publish(ring, 30)
    backlog.look()
    n_taken = 0
    while (sequence := backlog.take()) is not None:
        assert ring.view(sequence) is not None
        n_taken += 1
    assert 0 < n_taken < 30
    assert n_taken + backlog.n_left_out == 30


def test_there_need_be_no_ring_yet(shm_dir: Path) -> None:
    backlog = Backlog(shm_dir / "none")
    backlog.look()
    assert backlog.take() is None
    backlog.close()
