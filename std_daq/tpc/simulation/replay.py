"""Replay: recorded frames and events as bursts that exporters send again."""

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import N_AGETS, N_CHANNELS, N_TIME_BUCKETS, Board
from std_daq.tpc.frames.encode import EventHeader, encode_items, encode_partial
from std_daq.tpc.frames.event_decoder import N_COLUMNS
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.graw import GrawReader
from std_daq.tpc.frames.item_kernels import NO_SAMPLE
from std_daq.tpc.frames.records import N_HEAD_COLUMNS
from std_daq.tpc.simulation.readout import OTHER_CLOCK_COBO, OutgoingFrame
from std_daq.tpc.simulation.sending import FrameBurst

_PART = re.compile(r"(?P<stream>.*)_(?P<index>\d{4})\.graw", re.IGNORECASE)
_MERGED_SUFFIXES = frozenset({".h5", ".hdf5", ".hdf", ".nxs"})


def is_merged_file(file: Path) -> bool:
    """Return whether a file is taken for a merged file, by its name."""
    return file.suffix.lower() in _MERGED_SUFFIXES


def streams_of_files(files: Sequence[Path]) -> list[list[Path]]:
    """Return the files of each stream, in order: files whose names differ in their last number belong together."""
    streams: dict[tuple[Path, str], list[tuple[int, Path]]] = {}
    for file in dict.fromkeys(files):
        match = _PART.fullmatch(file.name)
        key = (file.parent, match["stream"] if match else file.name)
        streams.setdefault(key, []).append((int(match["index"]) if match else 0, file))
    return [[file for _, file in sorted(parts)] for parts in streams.values()]


@dataclass(slots=True)
class ReplayLedger:
    """What could not be sent of the files, in words."""

    damages: list[str] = field(default_factory=list)


def graw_bursts(files: Sequence[Path], ledger: ReplayLedger) -> Iterator[FrameBurst]:
    """Yield the frames of GRAW files event by event, and those without samples where they stand.

    Frames keep their order within each stream of files. Across streams they are brought together by event id; each
    stream counts its own runs, so that a new run in one of them waits for the others.
    """
    heads: list[tuple[tuple[int, int], int, _GrawStream]] = []
    for order, parts in enumerate(streams_of_files(files)):
        stream = _GrawStream(parts, ledger)
        if (key := stream.next_key) is not None:
            heapq.heappush(heads, (key, order, stream))
    while heads:
        now = heads[0][0]
        frames: list[OutgoingFrame] = []
        announcements: list[tuple[int, bytes]] = []
        while heads and heads[0][0] <= now:
            _, order, stream = heapq.heappop(heads)
            for frame in stream.take(now):
                data = frame.data.tobytes()
                if frame.has_samples:
                    frames.append(OutgoingFrame(frame.board, data))
                else:
                    announcements.append((frame.board[0], data))
            if (key := stream.next_key) is not None:
                heapq.heappush(heads, (key, order, stream))
        yield FrameBurst(frames, announcements, is_event=bool(frames))


class _GrawStream:
    """The frames of the files of one stream, with a look at the key of the next one: its run and its event id."""

    def __init__(self, files: Iterable[Path], ledger: ReplayLedger) -> None:
        self._frames = self._read(files, ledger)
        self._run = 0
        self._ids: dict[Board, int] = {}
        self._key = (0, -1)
        self._next: Frame | None = None
        self._advance()

    @property
    def next_key(self) -> tuple[int, int] | None:
        """Run and event id of the next frame; None at the end."""
        return None if self._next is None else self._key

    def take(self, key: tuple[int, int]) -> Iterator[Frame]:
        """Yield the next frames up to a key."""
        while self._next is not None and self._key <= key:
            yield self._next
            self._advance()

    def _advance(self) -> None:
        self._next = next(self._frames, None)
        frame = self._next
        if frame is None or not frame.has_samples:
            return  # a frame without samples is sent with its neighbour
        last = self._ids.get(frame.board)
        if last is not None and frame.event_id < last - 1:
            self._run += 1
            self._ids.clear()
        self._ids[frame.board] = frame.event_id
        self._key = (self._run, frame.event_id)

    @staticmethod
    def _read(files: Iterable[Path], ledger: ReplayLedger) -> Iterator[Frame]:
        for file in files:
            reader = GrawReader(file)
            yield from reader
            ledger.damages += [f"{file}: {damage}" for damage in reader.damaged]


def merged_bursts(files: Sequence[Path], boards: Sequence[Board]) -> Iterator[FrameBurst]:
    """Yield the frames of the events of merged files.

    Parameters
    ----------
    boards
        Boards that send a frame for each event, without items if the event has no row of theirs. Boards that the file
        names as missing send none.
    """
    from std_daq.tpc.merged.reader import MergedFile

    for file in files:
        with MergedFile(file) as merged:
            for event in merged:
                if event.id is None:
                    continue
                rows = np.concatenate([event.traces, *event.silicon.values()])
                missing = set() if event.missing_boards is None else set(map(tuple, event.missing_boards.tolist()))
                senders = [board for board in boards if board not in missing]
                times = (event.timestamp or 0, event.timestamp_other or 0)
                yield FrameBurst(frames_of_matrix(rows, event.id, times, senders))


def frames_of_matrix(
    rows: NDArray[Any], event_id: int, times: tuple[int, int], boards: Sequence[Board]
) -> list[OutgoingFrame]:
    """Return the frames of a matrix, partial readouts; the inverse of decoding.

    Parameters
    ----------
    rows
        int16 (n, 517); all 512 samples of a row are sent.
    times
        Time of the boards, and that of CoBo 10, whose clock is another one.
    boards
        Boards that send a frame in any case.
    """
    heads = rows.reshape(-1, N_COLUMNS)[:, : N_HEAD_COLUMNS - 1].astype(np.int64)
    there = {(int(cobo), int(asad)) for cobo, asad in heads[:, :2]}
    frames = []
    for board in sorted({*boards, *there}):
        header = EventHeader(event_id % 2**32, times[board[0] == OTHER_CLOCK_COBO] % 2**48, board)
        own = (heads[:, 0] == board[0]) & (heads[:, 1] == board[1])
        if not own.any():
            frames.append(OutgoingFrame(board, encode_items(header, np.empty(0, np.uint32))))
            continue
        samples = np.full((N_AGETS, N_CHANNELS, N_TIME_BUCKETS), NO_SAMPLE, np.int16)
        samples[heads[own, 2], heads[own, 3]] = rows[own, N_HEAD_COLUMNS:]
        frames.append(OutgoingFrame(board, encode_partial(header, samples)))
    return frames
