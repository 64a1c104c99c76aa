"""Readout: the frames that boards send for simulated events."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from std_daq.tpc.electronics import CLOCK_HZ, FPN_CHANNELS, N_AGETS, Board
from std_daq.tpc.frames.encode import DEFAULT_FORMAT, EventHeader, FrameFormat, encode_full, encode_partial
from std_daq.tpc.simulation.chamber import ChamberEvent, SimulatedChamber
from std_daq.tpc.simulation.tracks import Track

# CoBo 10 of the AT-TPC has a clock in step with another acquisition; its times are ahead by so many ticks.
OTHER_CLOCK_COBO = 10
OTHER_CLOCK_TICKS = 123_456_789
_FIRST_TICK = 1_000_000
_EVENT_TIME, _EVENT_ID = slice(16, 22), slice(22, 26)


@dataclass(frozen=True, slots=True)
class OutgoingFrame:
    """A frame with samples on its way to an exporter."""

    board: Board
    data: bytes


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """An event as it is read out: its number, time and frames, one of each board; and its tracks."""

    event_id: int
    event_time: int
    frames: tuple[OutgoingFrame, ...]
    tracks: tuple[Track, ...]


class Readout:
    """Numbers simulated events and encodes their frames.

    Making an event takes longer than sending it. So a few are made, and come again and again, with other numbers and
    times.

    Parameters
    ----------
    chamber
        Makes the events.
    n_made
        How many different events are made.
    rate_hz
        Events per second, for their times.
    is_full
        Whether frames are a full readout, as those of the chamber.
    first_id
        Id of the first event.
    restart_at
        Before this event, counted from 0, the numbers and times start again; None: never.
    """

    def __init__(
        self,
        chamber: SimulatedChamber,
        *,
        n_made: int,
        rate_hz: float,
        is_full: bool = False,
        first_id: int = 0,
        restart_at: int | None = None,
        frame_format: FrameFormat = DEFAULT_FORMAT,
        seed: int = 0,
    ) -> None:
        self._chamber = chamber
        self._n_made = n_made
        self._ticks = max(1, round(CLOCK_HZ / rate_hz))
        self._is_full = is_full
        self._first_id = first_id
        self._restart_at = restart_at
        self._format = frame_format
        self._rng = np.random.default_rng((seed, 2))
        self._made: dict[int, tuple[ChamberEvent, tuple[tuple[Board, bytearray], ...]]] = {}

    def make(self) -> Iterator[int]:
        """Make the events ahead; yields how many there are after each."""
        for number in range(self._n_made):
            self._event(number)
            yield number + 1

    def event(self, index: int) -> ReadEvent:
        """Return the event with an index, counted from 0 over all runs."""
        in_run = index
        if self._restart_at is not None and index >= self._restart_at:
            in_run = index - self._restart_at
        event_id = (self._first_id + in_run) % 2**32
        event_time = _FIRST_TICK + self._ticks * in_run
        event, frames = self._event(index % self._n_made)
        numbered = tuple(
            OutgoingFrame(board, self._numbered(data, event_id, event_time + _clock_offset(board)))
            for board, data in frames
        )
        return ReadEvent(event_id, event_time, numbered, event.tracks)

    def _event(self, number: int) -> tuple[ChamberEvent, tuple[tuple[Board, bytearray], ...]]:
        made = self._made.get(number)
        if made is None:
            event = self._chamber.event(number)
            frames = tuple((board, bytearray(self._encode(event, board))) for board in event.samples)
            made = self._made[number] = (event, frames)
        return made

    def _encode(self, event: ChamberEvent, board: Board) -> bytes:
        hits = event.hits[board]
        per_aget = [tuple(hits[hits[:, 0] == aget, 1].tolist()) for aget in range(N_AGETS)]
        header = EventHeader(
            event_id=0,
            event_time=0,
            board=board,
            hit_channels=tuple((*channels, *FPN_CHANNELS) if channels else () for channels in per_aget),
            multiplicities=tuple(map(len, per_aget)),
            last_cells=(int(self._rng.integers(512)),) * N_AGETS,
        )
        encode = encode_full if self._is_full else encode_partial
        return encode(header, event.samples[board], self._format, first_aget=int(self._rng.integers(N_AGETS)))

    def _numbered(self, data: bytearray, event_id: int, event_time: int) -> bytes:
        frame = bytearray(data)
        frame[_EVENT_TIME] = self._format.number(event_time % 2**48, 6)
        frame[_EVENT_ID] = self._format.number(event_id, 4)
        return bytes(frame)


def _clock_offset(board: Board) -> int:
    return OTHER_CLOCK_TICKS if board[0] == OTHER_CLOCK_COBO else 0
