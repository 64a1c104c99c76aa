"""EventDecoder: decodes the frames of an event into its matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import CHANNELS_PER_BOARD, N_AGETS, N_CHANNELS, N_TIME_BUCKETS, Board
from std_daq.tpc.frames.decode import is_swapped, key_table, new_item_counts
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.item_kernels import NO_CHANNEL, mark_full, mark_partial, place_full, place_partial
from std_daq.tpc.frames.ordered_kernels import N_SCRATCH, fill_ordered, mark_ordered
from std_daq.tpc.frames.records import CHANNEL_BITS, N_HEAD_COLUMNS, N_KEYS, PARTIAL, ItemCount
from std_daq.tpc.frames.row_kernels import begin_rows, end_rows, number_rows
from std_daq.tpc.pads.plane import PadPlane

N_COLUMNS = N_HEAD_COLUMNS + N_TIME_BUCKETS


@dataclass(frozen=True, slots=True)
class _BoardTables:
    ranks: NDArray[np.int64]
    heads: NDArray[np.int16]
    firsts: NDArray[np.int64]


class _PlannedFrame(NamedTuple):
    items: NDArray[Any]
    is_swapped: bool
    is_partial: bool
    n_channels: int  # of a partial readout in order, otherwise 0
    tables: _BoardTables


class EventDecoder:
    """Decodes the frames of one event after another; the samples go straight to their rows.

    Usage::

        matrix = ring.begin_event(decoder.plan(frames))
        decoder.fill(matrix)

    Rows ascend in column 4. FPN channels, and those that the map does not name, have none. A time bucket that was not
    sent is 0.

    Parameters
    ----------
    plane
        Says which channels have a row, and in which order.
    """

    def __init__(self, plane: PadPlane) -> None:
        self._plane = plane
        self._boards: dict[Board, _BoardTables] = {}
        self._flags = np.zeros(plane.n_ranks + 1, np.uint8)
        self._rows = np.zeros(plane.n_ranks + 1, np.int64)
        self._counts = new_item_counts()
        self._scratch = np.zeros(N_SCRATCH, np.uint64)
        self._planned: list[_PlannedFrame] = []
        self._n_rows = 0

    @property
    def item_counts(self) -> dict[ItemCount, int]:
        """What became of the items of all events until now."""
        return {count: int(self._counts[count]) for count in ItemCount}

    def plan(self, frames: Sequence[Frame]) -> int:
        """Return how many rows the event of some frames has, at most one frame of each board."""
        self._planned = [self._plan_frame(frame) for frame in frames]
        self._n_rows = int(number_rows(self._flags, self._rows))
        return self._n_rows

    def fill(self, matrix: NDArray[np.int16]) -> None:
        """Fill the matrix of the event that was planned last, int16 of shape (rows, 517), contiguous.

        Raises
        ------
        ValueError
            The matrix has another shape.
        """
        if matrix.shape != (self._n_rows, N_COLUMNS):
            raise ValueError(f"the matrix has the shape {matrix.shape}, but the event {(self._n_rows, N_COLUMNS)}")
        flat = matrix.reshape(-1)
        for frame in self._planned:
            self._fill_rows(frame, flat)
        self._planned = []

    def decode(self, frames: Sequence[Frame]) -> NDArray[np.int16]:
        """Return the matrix of the event of some frames."""
        matrix = np.empty((self.plan(frames), N_COLUMNS), np.int16)
        self.fill(matrix)
        return matrix

    def _plan_frame(self, frame: Frame) -> _PlannedFrame:
        items, swapped, tables = frame.items, is_swapped(frame), self._tables(frame.board)
        n_channels = 0
        is_partial = frame.frame_type == PARTIAL
        if not is_partial:
            mark_full(items, swapped, tables.ranks, self._flags)
        elif not (n_channels := mark_ordered(items, swapped, tables.ranks, self._flags)):
            mark_partial(items, swapped, tables.ranks, self._flags)
        return _PlannedFrame(items, swapped, is_partial, n_channels, tables)

    def _fill_rows(self, frame: _PlannedFrame, matrix: NDArray[np.int16]) -> None:
        items, swapped, tables = frame.items, frame.is_swapped, frame.tables
        if frame.n_channels:
            fill_ordered(
                items,
                swapped,
                frame.n_channels,
                tables.ranks,
                self._rows,
                tables.heads,
                matrix,
                self._counts,
                self._scratch,
            )
            return
        begin_rows(tables.ranks, self._rows, tables.heads, matrix, tables.firsts)
        place = place_partial if frame.is_partial else place_full
        place(items, swapped, tables.firsts, matrix, self._counts)
        end_rows(tables.firsts, matrix)

    def _tables(self, board: Board) -> _BoardTables:
        tables = self._boards.get(board)
        if tables is None:
            tables = self._boards[board] = self._make_tables(board)
        return tables

    def _make_tables(self, board: Board) -> _BoardTables:
        channels = self._plane.board_channels(board)
        nowhere = self._plane.n_ranks
        ranks = key_table(np.where(channels.ranks < 0, nowhere, channels.ranks))
        does_not_exist = ranks == NO_CHANNEL
        firsts = np.where(does_not_exist, NO_CHANNEL, 0)
        ranks[does_not_exist] = nowhere
        heads = np.zeros((N_AGETS, 1 << CHANNEL_BITS, N_HEAD_COLUMNS), np.int16)
        heads[..., 0], heads[..., 1] = board
        heads[..., 2] = np.arange(N_AGETS)[:, None]
        heads[..., 3] = np.arange(1 << CHANNEL_BITS)
        heads[:, :N_CHANNELS, 4] = channels.numbers.reshape(N_AGETS, CHANNELS_PER_BOARD // N_AGETS)
        return _BoardTables(ranks, heads.reshape(N_KEYS, N_HEAD_COLUMNS), firsts)
