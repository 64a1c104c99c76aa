"""FrameSplitter: cuts the bytes that an exporter sends into frames."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.frames.chunk_pool import ChunkPool
from std_daq.tpc.frames.frame import MERGED_TYPES, Frame, frames_at
from std_daq.tpc.frames.inner_frames import inner_frames
from std_daq.tpc.frames.records import HEADER, N_FAULTS, SIZE_WORD_BYTES, Fault
from std_daq.tpc.frames.splitter_kernels import StreamCount, StreamState, split_stream

CHUNK_BYTES = 4 * 2**20
_FRAMES_AT_ONCE = 256
_MIN_FREE_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """What a stream has brought.

    Attributes
    ----------
    n_bytes
        Bytes received.
    n_frames
        Frames that were given out; those in a merged frame count one by one.
    n_zero_sizes
        Size words of 0, which are skipped.
    n_wrong_sizes
        Frames that were taken by their header, because the size word was wrong.
    faults
        Damaged frames, by what was wrong with them.
    """

    n_bytes: int
    n_frames: int
    n_zero_sizes: int
    n_wrong_sizes: int
    faults: dict[Fault, int]

    @property
    def n_damaged(self) -> int:
        """Number of damaged frames."""
        return sum(self.faults.values())

    def plus(self, other: "StreamCounts") -> "StreamCounts":
        """Return what two streams have brought together."""
        return StreamCounts(
            n_bytes=self.n_bytes + other.n_bytes,
            n_frames=self.n_frames + other.n_frames,
            n_zero_sizes=self.n_zero_sizes + other.n_zero_sizes,
            n_wrong_sizes=self.n_wrong_sizes + other.n_wrong_sizes,
            faults={
                fault: self.faults.get(fault, 0) + other.faults.get(fault, 0)
                for fault in Fault
                if fault in self.faults or fault in other.faults
            },
        )


class FrameSplitter:
    """Cuts the stream of one connection into frames; no byte is copied but those of a frame across two chunks.

    For each connection there is a new splitter. Usage::

        n_bytes = connection.recv_into(splitter.memory())
        splitter.received(n_bytes)
        for frame in splitter.frames():
            ...
        if splitter.is_lost:
            ...  # close the connection

    The data of a frame are a view of the chunk in which it arrived. The chunk is not written again while one of its
    frames lives.

    Parameters
    ----------
    max_frame_bytes
        A frame that claims more is damaged.
    chunk_bytes
        Size of a chunk; it is made larger if two of the largest frames would not fit.
    chunks
        Where chunks come from; several splitters may share it.
    """

    def __init__(self, max_frame_bytes: int, chunk_bytes: int = CHUNK_BYTES, chunks: ChunkPool | None = None) -> None:
        self._max_bytes = max_frame_bytes
        self._chunks = ChunkPool(0) if chunks is None else chunks
        self._chunk_bytes = max(chunk_bytes, 2 * (max_frame_bytes + SIZE_WORD_BYTES) + _MIN_FREE_BYTES)
        self._chunk: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._end = 0
        self._state = np.zeros(len(StreamState), np.int64)
        self._counts = np.zeros(len(StreamCount), np.int64)
        self._faults = np.zeros(N_FAULTS, np.int64)
        self._headers = np.zeros(_FRAMES_AT_ONCE, HEADER)
        self._places = np.zeros((_FRAMES_AT_ONCE, 2), np.int64)
        self._n_bytes = self._n_frames = 0

    @property
    def is_lost(self) -> bool:
        """Whether neither a size word nor a header tells where the next frame is: the connection is of no more use."""
        return bool(self._state[StreamState.IS_LOST])

    @property
    def is_between_frames(self) -> bool:
        """Whether the stream ends where a message ends."""
        return int(self._state[StreamState.POSITION]) == self._end and not self._state[StreamState.TO_SKIP]

    @property
    def counts(self) -> StreamCounts:
        """What has come until now."""
        return StreamCounts(
            n_bytes=self._n_bytes,
            n_frames=self._n_frames,
            n_zero_sizes=int(self._counts[StreamCount.ZERO_SIZE]),
            n_wrong_sizes=int(self._counts[StreamCount.WRONG_SIZE]),
            faults={fault: int(self._faults[fault]) for fault in Fault if self._faults[fault]},
        )

    def memory(self) -> memoryview:
        """Return where the next bytes belong; never empty."""
        if len(self._chunk) - self._end < _MIN_FREE_BYTES or not self._has_room():
            self._begin_chunk()
        return self._chunk[self._end :].data

    def received(self, n_bytes: int) -> None:
        """Say how many bytes were written to `memory`."""
        self._end += n_bytes
        self._n_bytes += n_bytes

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that are whole, merged frames as the frames in them."""
        n = _FRAMES_AT_ONCE
        while n == _FRAMES_AT_ONCE:
            chunk = self._chunk
            n = split_stream(
                chunk, self._end, self._max_bytes, self._headers, self._places, self._state, self._counts, self._faults
            )
            for frame in frames_at(self._headers[:n], self._places[:n], chunk):
                if frame.frame_type in MERGED_TYPES:
                    yield from self._inner(frame)
                else:
                    self._n_frames += 1
                    yield frame

    def _inner(self, frame: Frame) -> Iterator[Frame]:
        inner, faults = inner_frames(frame)
        for fault in faults:
            self._faults[fault] += 1
        for one in inner:
            self._n_frames += 1
            yield one

    def _has_room(self) -> bool:
        """Return whether the message at the position can become whole in this chunk, whatever its size."""
        begin = int(self._state[StreamState.POSITION])
        return begin == self._end or len(self._chunk) - begin >= self._max_bytes + SIZE_WORD_BYTES

    def _begin_chunk(self) -> None:
        begin = int(self._state[StreamState.POSITION])
        rest = self._chunk[begin : self._end]
        self._chunk = self._chunks.take(self._chunk_bytes)
        self._chunk[: len(rest)] = rest
        self._end = len(rest)
        self._state[StreamState.POSITION] = 0
