"""The ring of events, which differ in size, and its reader."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.errors import ConfigError, SharedMemoryError
from std_daq.native.ordered_words import begin_write
from std_daq.reading.journal_search import Fate
from std_daq.shm.segment import Segment
from std_daq.tpc.events.board_bits import boards_of_bits, boards_to_bits
from std_daq.tpc.events.event import Event
from std_daq.tpc.events.event_buffer import ROW_BYTES, EventBuffer
from std_daq.tpc.events.event_reader import EventReader

MAX_TRACES = 200
BUFFER_BYTES = 10 * MAX_TRACES * ROW_BYTES
NUMBERS = itertools.count()
NO_BOARDS = boards_to_bits(())


def open_ring(path: Path, buffer_bytes: int = BUFFER_BYTES) -> EventBuffer:
    return EventBuffer.create(path, buffer_bytes=buffer_bytes, max_traces=MAX_TRACES)[0]


def publish(ring: EventBuffer, event_id: int, n_traces: int, epoch: int = 0, missing: np.ndarray = NO_BOARDS) -> None:
    ring.begin_event(n_traces)[:] = event_id
    ring.publish(
        event_id=event_id,
        epoch=epoch,
        n_traces=n_traces,
        timestamp=event_id * 100,
        timestamp_other=event_id * 100 + 1,
        n_boards=3,
        missing_bits=missing,
        first_arrival_ns=1,
        built_ns=2,
    )


def check(event: Event | None, event_id: int, n_traces: int) -> None:
    assert event is not None
    assert (event.id, event.traces.shape) == (event_id, (n_traces, 517))
    assert (event.traces == event_id).all()
    assert event.is_intact()


@pytest.fixture
def path(shm_dir: Path) -> Path:
    return shm_dir / "chamber-events"


@pytest.fixture
def ring(path: Path) -> Iterator[EventBuffer]:
    with closing(open_ring(path)) as ring:
        yield ring


def test_event_is_read_as_it_was_published(ring: EventBuffer, path: Path) -> None:
    missing = boards_to_bits([(10, 1), (0, 3)])
    publish(ring, 17, 5, epoch=2, missing=missing)
    with EventReader(path, start="oldest") as events:
        event = events.next(0)
        check(event, 17, 5)
        assert event is not None
        assert (event.epoch, event.sequence, event.timestamp, event.timestamp_other) == (2, 0, 1700, 1701)
        assert not event.is_complete
        assert event.missing_boards.tolist() == [[0, 3], [10, 1]]
        assert (event.metadata.n_boards, event.metadata.n_missing_boards) == (3, 2)
        assert event.metadata.n_traces == 5


def test_every_set_of_boards_survives_being_bits() -> None:
    boards = [(cobo, asad) for cobo in range(256) for asad in range(4)]
    assert boards_of_bits(boards_to_bits(boards)).tolist() == [list(board) for board in boards]
    assert boards_of_bits(boards_to_bits(())).shape == (0, 2)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    sizes=st.lists(st.integers(0, MAX_TRACES), min_size=1, max_size=60),
    restart_after=st.integers(0, 60),
    n_unfinished=st.integers(0, MAX_TRACES),
)
def test_what_is_held_is_whole_and_what_is_not_is_known(
    shm_dir: Path, sizes: list[int], restart_after: int, n_unfinished: int
) -> None:
    path = shm_dir / f"events-{next(NUMBERS)}"  # a failed example leaves its ring to the fixture
    ring = open_ring(path)
    reader = EventBuffer.attach(path)
    for index, size in enumerate(sizes):
        if index == restart_after:
            ring.begin_event(n_unfinished)[:] = -1  # the owner dies while it writes an event
            ring.close()
            ring = open_ring(path)
            ring.take_over()
        publish(ring, index, size)
        held = range(reader.oldest, index + 1)
        assert held
        for sequence in held:
            check(reader.view(sequence), sequence, sizes[sequence])
            assert reader.holds(sequence)
        for sequence in range(held.start):
            assert reader.view(sequence) is None
            assert not reader.holds(sequence)
        # An event makes room only where it lies: apart from the unused end of the area, the ring is full.
        used = sum(max(1, -(-sizes[sequence] * ROW_BYTES // 64)) * 64 for sequence in held)
        if held.start and index < restart_after and len(held) < ring.n_slots:
            assert used > BUFFER_BYTES - 2 * MAX_TRACES * ROW_BYTES
    reader.close()
    ring.close()
    path.unlink()


def test_view_that_is_overwritten_says_so(ring: EventBuffer) -> None:
    publish(ring, 0, MAX_TRACES)
    event = ring.view(0)
    check(event, 0, MAX_TRACES)
    assert event is not None
    event_id = 0
    while ring.oldest == 0:
        assert event.is_intact()
        event_id += 1
        publish(ring, event_id, 7)
    assert not event.is_intact()
    assert event.copy() is None


def test_event_is_invalid_before_the_first_byte_of_the_next_one_is_written(ring: EventBuffer) -> None:
    for event_id in range(30):
        publish(ring, event_id, MAX_TRACES)
    event = ring.view(ring.oldest)
    check(event, ring.oldest, MAX_TRACES)
    assert event is not None
    content = ring.begin_event(MAX_TRACES)
    assert np.shares_memory(content, event.traces)
    assert not event.is_intact()


def test_reader_that_is_overtaken_counts_what_it_lost(ring: EventBuffer, path: Path) -> None:
    with EventReader(path, start="oldest") as events:
        for event_id in range(50):
            publish(ring, event_id, MAX_TRACES)
        read = [event.id for event in iter(lambda: events.next(0), None)]
        assert read[-1] == 49
        assert [*events.lost.ids, *read] == list(range(50))
        assert events.lost.n == 50 - len(read)
        assert str(events.lost).startswith(f"{events.lost.n} lost: 0-")


def test_newest_event_and_events_by_id(ring: EventBuffer, path: Path) -> None:
    with EventReader(path) as events:
        assert events.newest(0) is None
        for event_id in range(40):
            publish(ring, event_id, MAX_TRACES)
        newest = events.newest(0)
        check(newest, 39, MAX_TRACES)
        found = events.by_id(35)
        assert isinstance(found, Event)
        check(found, 35, MAX_TRACES)
        assert str(events.by_id(3)) == "event 3: overwritten"
        missing = events.by_id(40)
        assert not isinstance(missing, Event)
        assert missing.fate is Fate.TO_COME
        publish(ring, 0, 1, epoch=1)
        check(events.next(0), 0, 1)


def test_owner_that_restarts_goes_on_and_keeps_its_events(path: Path) -> None:
    ring = open_ring(path)
    for event_id in range(25):
        publish(ring, event_id, 17)
    oldest = ring.oldest
    ring.close()
    with closing(open_ring(path)) as successor:
        successor.take_over()
        assert successor.oldest == oldest
        publish(successor, 25, 17)
        check(successor.view(24), 24, 17)
        check(successor.view(25), 25, 17)


def test_owner_that_died_while_it_made_room_leaves_no_broken_event(path: Path) -> None:
    ring = open_ring(path)
    for event_id in range(25):
        publish(ring, event_id, 17)
    begin_write(ring.generations, ring.slot(ring.oldest))  # and no further
    ring.close()
    with closing(open_ring(path)) as successor:
        successor.take_over()
        assert successor.view(successor.oldest - 1) is None
        check(successor.view(successor.oldest), successor.oldest, 17)


def test_torn_position_never_leads_out_of_the_area(ring: EventBuffer) -> None:
    publish(ring, 0, 3)
    for start, n_bytes in ((2**64 - 1, 1), (BUFFER_BYTES - 1, 2**63 - 1), (2**63, 2**63)):
        ring.headers["start"][0], ring.headers["n_bytes"][0] = start, n_bytes
        assert len(ring.content(0)) <= 1


def test_event_that_is_too_large_for_the_ring_is_refused(ring: EventBuffer) -> None:
    with pytest.raises(ValueError, match="is larger than"):
        ring.begin_event(ring.max_traces + 1)
    assert ring.begin_event(ring.max_traces).shape == (ring.max_traces, 517)


def test_memory_for_less_than_four_of_the_largest_events_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"too small for 4 events of 200 traces") as caught:
        open_ring(path, 3 * MAX_TRACES * ROW_BYTES)
    assert caught.value.key == "builder.ram_buffer_gb"


def test_ring_of_images_is_no_ring_of_events(shm_dir: Path, ring: EventBuffer) -> None:
    from std_daq.imaging.buffers.image_buffer import ImageBuffer

    with pytest.raises(SharedMemoryError, match="contains events, not images"):
        ImageBuffer.attach(shm_dir / "chamber-events")


def test_header_of_the_ring_describes_it(ring: EventBuffer, path: Path) -> None:
    segment = Segment.attach(path)
    assert segment.info.geometry["kind"] == "events"
    assert segment.info.geometry["shared_bytes"] == BUFFER_BYTES
    segment.close()


def test_a_reader_has_time_for_all_events_of_a_ring_that_is_not_full(ring: EventBuffer) -> None:
    for event_id in range(10):
        publish(ring, event_id, 3)
    assert ring.safe_start == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("n_bytes", 2**63), ("n_bytes", 0), ("n_bytes", 1035), ("start", 2**64 - 64), ("n_traces", 2**63),
     ("n_traces", 0), ("frame_bytes", 2**64 - 1), ("frame_bytes", 7)],
)  # fmt: skip
def test_event_whose_header_is_nonsense_is_lost_and_the_next_is_read(
    ring: EventBuffer, path: Path, field: str, value: int
) -> None:
    for event_id in range(4):
        publish(ring, event_id, 5)
    header = ring.headers if field in {"n_bytes", "start"} else ring.headers["metadata"]
    header[field][1] = value
    with EventReader(path, start="oldest", timeout_s=0.0) as events:
        assert [event.id for event in events] == [0, 2, 3]
        assert list(events.lost.ids) == [1]
    with closing(open_ring(path)) as again:  # the builder that takes the ring over is not stopped by it either
        again.take_over()
        for event_id in range(4, 60):
            publish(again, event_id, 150)
            check(again.view(event_id), event_id, 150)
            for older in (0, 2, 3):  # they are right until they are told to be overwritten
                event = again.view(older)
                if event is not None:
                    check(event, older, 5)
        assert not any(again.view(older) for older in (0, 1, 2, 3))
