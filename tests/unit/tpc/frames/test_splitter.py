import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.tpc.frames.encode import (
    EventHeader,
    FrameFormat,
    encode_items,
    encode_merged,
    encode_message,
    encode_mutant,
    encode_topology,
    partial_items,
)
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.records import MUTANT, TOPOLOGY, Fault
from std_daq.tpc.frames.splitter import FrameSplitter

LIMIT = 2**16


def event_frame(event_id: int, n_items: int = 10, frame_format: FrameFormat = FrameFormat()) -> bytes:  # noqa: B008
    items = partial_items(*np.arange(4 * n_items).reshape(4, n_items) % 4)
    return encode_items(EventHeader(event_id, 100 * event_id, (1, 2)), items, frame_format)


def split(splitter: FrameSplitter, stream: bytes, step: int | None = None) -> list[Frame]:
    """Feed a stream to a splitter, some bytes at a time."""
    frames = []
    step = step or len(stream) or 1
    for begin in range(0, len(stream), step):
        piece = stream[begin : begin + step]
        while piece:
            memory = splitter.memory()
            n = min(len(memory), len(piece))
            memory[:n] = piece[:n]
            splitter.received(n)
            piece = piece[n:]
            frames += list(splitter.frames())
    return frames


@pytest.mark.parametrize("step", [1, 7, 300, None])
def test_frames_come_whole_however_the_bytes_come(step: int | None) -> None:
    frames = [encode_topology(1), *(event_frame(n, n % 40) for n in range(60)), encode_mutant(3, 5)]
    splitter = FrameSplitter(LIMIT)
    found = split(splitter, b"".join(map(encode_message, frames)), step)
    assert [frame.data.tobytes() for frame in found] == frames
    assert [frame.event_id for frame in found[1:-1]] == list(range(60))
    assert (found[0].frame_type, found[-1].frame_type, found[0].has_samples) == (TOPOLOGY, MUTANT, False)
    assert splitter.counts.n_damaged == splitter.counts.n_wrong_sizes == 0
    assert splitter.is_between_frames
    assert not splitter.is_lost


def test_frames_stay_as_they_are_while_more_come() -> None:
    splitter = FrameSplitter(LIMIT)
    stream = b"".join(encode_message(event_frame(n, 8000)) for n in range(600))  # several chunks
    found = split(splitter, stream, 50_000)
    assert b"".join(encode_message(frame.data.tobytes()) for frame in found) == stream


def test_sizes_of_zero_are_skipped_and_counted() -> None:
    stream = bytes(8) + encode_message(event_frame(1)) + bytes(16) + encode_message(event_frame(2)) + bytes(8)
    splitter = FrameSplitter(LIMIT)
    assert [frame.event_id for frame in split(splitter, stream)] == [1, 2]
    assert splitter.counts.n_zero_sizes == 4
    assert splitter.counts.n_damaged == 0


@pytest.mark.parametrize("size", [1, 7, 12, 300, 256, 10_000, LIMIT + 1, 2**40, 2**63, 2**64 - 1])
def test_garbage_size_costs_no_byte_of_a_good_frame(size: int) -> None:
    frames = [event_frame(1), event_frame(2), encode_topology(0), event_frame(3)]
    stream = b"".join(encode_message(frame, size if frame is not frames[0] else None) for frame in frames)
    for step in (1, None):
        splitter = FrameSplitter(LIMIT)
        assert [frame.data.tobytes() for frame in split(splitter, stream, step)] == frames
        assert splitter.counts.n_wrong_sizes + sum(len(frame) == size for frame in frames[1:]) == 3
        assert splitter.counts.n_damaged == 0


def test_garbage_size_of_zero_costs_no_frame() -> None:
    stream = encode_message(event_frame(1), 0) + encode_message(event_frame(2))
    splitter = FrameSplitter(LIMIT)
    assert [frame.event_id for frame in split(splitter, stream)] == [1, 2]
    assert (splitter.counts.n_zero_sizes, splitter.counts.n_wrong_sizes) == (1, 1)


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (5, b"\x00\x09", Fault.FRAME_TYPE),
        (8, b"\x00\x00", Fault.HEADER_SIZE),
        (8, b"\x00\xff", Fault.HEADER_SIZE),
        (10, b"\x00\x02", Fault.ITEM_SIZE),
        (12, b"\x00\x00\xff\xff", Fault.ITEMS_BEYOND),
        (1, b"\x00\x00\x01", Fault.ITEMS_BEYOND),
        (1, b"\x00\x00\x09", Fault.FRAME_SIZE),
        (1, b"\xff\xff\xff", Fault.TOO_LONG),
    ],
)
def test_damaged_frame_is_counted_and_the_next_one_comes(place: int, value: bytes, fault: Fault) -> None:
    damaged = bytearray(event_frame(1))
    damaged[place : place + len(value)] = value
    stream = encode_message(bytes(damaged)) + encode_message(event_frame(2))
    for step in (1, None):
        splitter = FrameSplitter(LIMIT)
        assert [frame.event_id for frame in split(splitter, stream, step)] == [2]
        assert splitter.counts.faults == {fault: 1}


def test_frame_that_is_too_long_is_left_out_though_size_and_header_agree() -> None:
    stream = encode_message(event_frame(1, LIMIT // 4)) + encode_message(event_frame(2))
    splitter = FrameSplitter(LIMIT)
    assert [frame.event_id for frame in split(splitter, stream, 999)] == [2]
    assert splitter.counts.faults == {Fault.TOO_LONG: 1}


def test_stream_is_lost_where_neither_size_nor_header_help() -> None:
    splitter = FrameSplitter(LIMIT)
    assert [frame.event_id for frame in split(splitter, encode_message(event_frame(1)) + b"\xff" * 64)] == [1]
    assert splitter.is_lost
    assert splitter.counts.n_damaged == 1
    assert split(splitter, encode_message(event_frame(2))) == []


def test_merged_frames_come_one_by_one() -> None:
    inner = [event_frame(7, n) for n in range(3)]
    nested = encode_merged([encode_merged(inner, event_time=9), event_frame(8)], event_id=7)
    splitter = FrameSplitter(LIMIT)
    found = split(splitter, encode_message(nested))
    assert [frame.data.tobytes() for frame in found] == [*inner, event_frame(8)]
    assert splitter.counts.n_frames == 4


def test_damage_within_a_merged_frame_is_counted() -> None:
    inner = [event_frame(n) for n in range(3)]
    merged = bytearray(encode_merged(inner, event_id=7))
    merged[256 + len(inner[0]) + 6] = 99  # the type of the second
    splitter = FrameSplitter(LIMIT)
    assert [frame.event_id for frame in split(splitter, encode_message(bytes(merged)))] == [0, 2]
    assert splitter.counts.faults == {Fault.FRAME_TYPE: 1}
    merged = bytearray(encode_merged(inner, event_id=7))
    merged[12:16] = b"\xff\xff\xff\xff"  # more items than there are
    splitter = FrameSplitter(LIMIT)
    assert len(split(splitter, encode_message(bytes(merged)))) == 3
    assert splitter.counts.faults == {Fault.CUT_OFF: 1}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 60),
            st.sampled_from([64, 256]),
            st.booleans(),
            st.sampled_from([None, 0, 1, 99, 2**33, 2**64 - 1]),
        ),
        max_size=12,
    ),
    st.integers(1, 2000),
)
@settings(deadline=None)
def test_any_stream_of_good_frames_is_split_into_them(
    kinds: list[tuple[int, int, bool, int | None]], step: int
) -> None:
    frames = [event_frame(9, n, FrameFormat(block, is_little)) for n, block, is_little, _ in kinds]
    stream = b"".join(encode_message(frame, kind[3]) for frame, kind in zip(frames, kinds, strict=True))
    splitter = FrameSplitter(LIMIT)
    assert [frame.data.tobytes() for frame in split(splitter, stream, step)] == frames
    assert not splitter.is_lost
