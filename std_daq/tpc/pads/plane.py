"""PadPlane: what is known of the pads of a chamber."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import (
    BOARDS_PER_COBO,
    CHANNELS_PER_BOARD,
    FPN_CHANNELS,
    N_AGETS,
    N_CHANNELS,
    Board,
    hardware_number,
)
from std_daq.tpc.pads.channel_map import MAX_NUMBER, PAD, ChannelMap

_MAX_COBO_WITHOUT_MAP = (MAX_NUMBER + 1) // (BOARDS_PER_COBO * CHANNELS_PER_BOARD) - 1
_NONE = np.full(CHANNELS_PER_BOARD, -1, np.int32)
_NONE.flags.writeable = False


@dataclass(frozen=True, slots=True)
class BoardChannels:
    """The channels of a board, index aget * 68 + channel; -1 where a channel reads nothing.

    Attributes
    ----------
    numbers
        Number of the pad or strip, column 4 of an event.
    detectors
        Code of the detector, index into `DETECTORS`.
    ranks
        Place of the channel among all channels of the chamber in the order of the rows of an event.
    """

    numbers: NDArray[np.int32]
    detectors: NDArray[np.int32]
    ranks: NDArray[np.int32]


@dataclass(frozen=True)
class PadPlane:
    """Channels and pads of a chamber.

    Attributes
    ----------
    channel_map
        None: there is no map, and channels are numbered by hardware.
    positions
        x and y of each pad in mm, shape (n_pads, 2); None: they are not known, and there is no analysis.
    scales
        Size of each pad; None: 1 for all.
    time_corrections
        Offset of each pad in time buckets; None: 0 for all.
    beam_radius_mm
        Pads nearer to the axis are beam pads.
    """

    channel_map: ChannelMap | None = None
    positions: NDArray[np.float64] | None = None
    scales: NDArray[np.float64] | None = None
    time_corrections: NDArray[np.float64] | None = None
    beam_radius_mm: float = 0.0
    _boards: dict[Board, BoardChannels] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.channel_map is not None:
            self._boards.update(_tables(self.channel_map))

    @property
    def boards(self) -> tuple[Board, ...]:
        """The boards of the channel map, ascending; none if there is no map."""
        return () if self.channel_map is None else self.channel_map.boards

    @property
    def n_ranks(self) -> int:
        """Number of channels that may have a row in an event."""
        return MAX_NUMBER + 1 if self.channel_map is None else len(self.channel_map.channels)

    @property
    def n_pads(self) -> int:
        """Number of pads: those with a position, otherwise one more than the largest number of a pad."""
        if self.positions is not None:
            return len(self.positions)
        if self.channel_map is None:
            return MAX_NUMBER + 1
        return 1 + max((one.number for one in self.channel_map.channels if one.detector == PAD), default=-1)

    @property
    def scale_of_pads(self) -> NDArray[np.float64]:
        """Size of each pad."""
        return np.ones(self.n_pads) if self.scales is None else self.scales

    @property
    def time_correction_of_pads(self) -> NDArray[np.float64]:
        """Offset of each pad, in time buckets."""
        return np.zeros(self.n_pads) if self.time_corrections is None else self.time_corrections

    @property
    def is_beam_pad(self) -> NDArray[np.bool_]:
        """Whether each pad is nearer to the axis than the beam radius; False for all without positions."""
        if self.positions is None:
            return np.zeros(self.n_pads, bool)
        x, y = self.positions.T
        return np.asarray(np.hypot(x, y) < self.beam_radius_mm)

    def board_channels(self, board: Board) -> BoardChannels:
        """Return the channels of a board; of a board that the map does not name, none reads anything."""
        known = self._boards.get(board)
        if known is None:
            known = _unknown_board() if self.channel_map is not None else _numbered_board(board)
            self._boards[board] = known
        return known


def _tables(channel_map: ChannelMap) -> Mapping[Board, BoardChannels]:
    tables: dict[Board, BoardChannels] = {}
    for rank, one in enumerate(channel_map.channels):
        table = tables.get(one.board)
        if table is None:
            table = tables[one.board] = BoardChannels(_NONE.copy(), _NONE.copy(), _NONE.copy())
        index = one.aget * N_CHANNELS + one.channel
        table.numbers[index], table.detectors[index], table.ranks[index] = one.number, one.detector, rank
    return tables


def _unknown_board() -> BoardChannels:
    return BoardChannels(_NONE, _NONE, _NONE)


def _numbered_board(board: Board) -> BoardChannels:
    """Return the channels of a board without a map; a number must fit column 4 of an event."""
    cobo, asad = board
    if not (cobo <= _MAX_COBO_WITHOUT_MAP and asad < BOARDS_PER_COBO):
        return _unknown_board()
    first = hardware_number(cobo, asad, 0, 0)
    numbers = np.arange(first, first + CHANNELS_PER_BOARD, dtype=np.int32)
    numbers.reshape(N_AGETS, N_CHANNELS)[:, FPN_CHANNELS] = -1
    detectors = np.where(numbers < 0, -1, PAD).astype(np.int32)
    return BoardChannels(numbers, detectors, numbers)
