"""Memory of streams is used again, but never while somebody refers to it."""

import gc

import numpy as np
import pytest

from std_daq.tpc.frames.chunk_pool import ChunkPool
from std_daq.tpc.frames.encode import EventHeader, encode_items, encode_message, partial_items
from std_daq.tpc.frames.splitter import FrameSplitter


def place(chunk: np.ndarray) -> int:
    return int(chunk.__array_interface__["data"][0])


def test_chunk_that_nobody_refers_to_is_used_again() -> None:
    pool = ChunkPool(1000)
    first = place(pool.take(100))
    assert {place(pool.take(100)) for _ in range(5)} == {first}


@pytest.mark.long
def test_chunk_is_not_used_again_while_there_is_a_view_of_it() -> None:
    pool = ChunkPool(1000)
    chunk = pool.take(100)
    view = chunk[10:20].view(np.uint16)
    first = place(chunk)
    del chunk
    assert place(pool.take(100)) != first
    assert view.base is not None
    del view
    gc.collect()
    assert place(pool.take(100)) == first


def test_chunk_of_another_size_is_another_one_and_the_pool_has_a_bound() -> None:
    pool = ChunkPool(300)
    held = [pool.take(100) for _ in range(4)]
    assert len({place(chunk) for chunk in held}) == 4
    last = place(held.pop())  # beyond the bound: it was not kept
    assert place(held[0]) != last
    held.clear()
    assert len(pool.take(200)) == 200
    assert len({place(chunk) for chunk in [pool.take(100) for _ in range(3)]}) == 3


def test_frames_keep_their_bytes_while_the_stream_goes_on() -> None:
    none = np.zeros(60_000, np.int64)
    message = encode_message(encode_items(EventHeader(1, 2, (0, 0)), partial_items(none, none, none, none)))
    pool = ChunkPool(2**28)
    splitter = FrameSplitter(2**20, chunks=pool)
    held, n_frames = [], 0
    for number in range(200):
        data = memoryview(message[:30] + bytes([number]) + message[31:])  # the byte of the status
        while data:
            memory = splitter.memory()
            n = min(len(memory), len(data))
            memory[:n] = data[:n]
            splitter.received(n)
            data = data[n:]
        for frame in splitter.frames():
            if n_frames % 7 == 0:
                held.append((frame, frame.data.tobytes()))
            n_frames += 1
    assert n_frames == 200
    assert all(frame.data.tobytes() == data for frame, data in held)
