"""BoardTable: how the boards of a chamber do: events, losses, noise, silent channels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import Board
from std_daq.tpc.pads.plane import PadPlane

_FIRST_SAMPLE = 5
_SIGMA = 1.4826  # of a normal distribution, in medians of the absolute deviation
_FEW_SAMPLES = 64  # of a channel; of fewer, noise is not known


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A board.

    Parameters
    ----------
    board
        CoBo and AsAd.
    n_events
        Events that have it.
    n_missing
        Events in which it is missing.
    rate_hz
        Events with it in a second, since the last look.
    noise
        Median over its channels of the standard deviation of a channel without signal; None where it is not known.
    n_channels
        Channels that are connected; None where no map tells.
    n_silent
        Connected channels of which no event that was looked at has a sample that differs from the others.
    """

    board: Board
    n_events: int
    n_missing: int
    rate_hz: float
    noise: float | None
    n_channels: int | None
    n_silent: int | None

    @property
    def loss(self) -> float:
        """Share of the events in which it is missing."""
        total = self.n_events + self.n_missing
        return self.n_missing / total if total else 0.0


class BoardTable:
    """Counts all events, and looks at the samples of some.

    Parameters
    ----------
    plane
        The pads of the chamber.
    expected
        The boards of an event; boards that come beside them have rows as well.
    """

    def __init__(self, plane: PadPlane, expected: Sequence[Board]) -> None:
        self._expected = sorted(expected)
        self._channels = _channels_by_board(plane)
        self.reset()

    def reset(self) -> None:
        """Begin again, as with a new run."""
        self._n_all = 0
        self._n_missing: Counter[Board] = Counter()
        self._n_before: dict[Board, int] = {}
        self._extra: set[Board] = set()
        self._noise: dict[Board, float] = {}
        self._heard: dict[Board, set[int]] = {}
        self.n_looked_at = 0

    def count(self, missing: Sequence[Board]) -> None:
        """Count an event, in which some boards are missing."""
        self._n_all += 1
        self._n_missing.update(missing)

    def look(self, traces: NDArray[np.int16]) -> None:
        """Look at the samples of an event: rows of cobo, asad, aget, channel, pad, and 512 samples."""
        self.n_looked_at += 1
        boards = traces[:, 0].astype(np.int64) * 4 + traces[:, 1]
        for number in np.unique(boards).tolist():
            board = (number // 4, number % 4)
            rows = traces[boards == number]
            samples = rows[:, 5 + _FIRST_SAMPLE :]
            channels = rows[:, 2].astype(np.int64) * 68 + rows[:, 3]
            is_alive = samples.max(axis=1) > samples.min(axis=1)
            self._heard.setdefault(board, set()).update(channels[is_alive].tolist())
            noise = _noise(samples)
            if noise is not None:
                self._noise[board] = noise
            if board not in self._expected:
                self._extra.add(board)

    def rows(self, elapsed_s: float) -> list[BoardRow]:
        """Return all boards; ``elapsed_s`` is the time since the last call."""
        made = []
        for board in sorted({*self._expected, *self._extra, *self._n_missing}):
            n_events = self._n_all - self._n_missing[board]
            new = n_events - self._n_before.get(board, 0)
            self._n_before[board] = n_events
            channels = self._channels.get(board)
            is_known = channels is not None and self.n_looked_at > 0
            heard = self._heard.get(board, set())
            made.append(
                BoardRow(
                    board=board,
                    n_events=n_events,
                    n_missing=self._n_missing[board],
                    rate_hz=new / elapsed_s if elapsed_s > 0 else 0.0,
                    noise=self._noise.get(board),
                    n_channels=None if channels is None else len(channels),
                    n_silent=len(channels - heard) if channels is not None and is_known else None,
                )
            )
        return made


def table_text(rows: Sequence[BoardRow], n_looked_at: int) -> str:
    """Return the table as Markdown."""
    lines = [
        "| CoBo | AsAd | events | rate [1/s] | missing | noise | silent channels |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        missing = f"{row.n_missing} ({100 * row.loss:.1f} %)" if row.n_missing else "0"
        noise = "" if row.noise is None else f"{row.noise:.1f}"
        silent = "" if row.n_silent is None else f"{row.n_silent} of {row.n_channels}"
        lines.append(
            f"| {row.board[0]} | {row.board[1]} | {row.n_events} | {row.rate_hz:.1f} | {missing} | {noise} | {silent} |"
        )
    return "\n".join([*lines, "", f"Noise and silent channels: from {n_looked_at} events."])


def _noise(samples: NDArray[np.int16]) -> float | None:
    """Return the noise of a board in channels of the ADC; signals are no noise, and neither is what was not sent."""
    deviations = []
    for row in samples:
        sent = row[row != 0]
        if len(sent) >= _FEW_SAMPLES:
            deviations.append(_SIGMA * float(np.median(np.abs(sent - np.median(sent)))))
    return float(np.median(deviations)) if deviations else None


def _channels_by_board(plane: PadPlane) -> dict[Board, set[int]]:
    return {board: set(np.flatnonzero(plane.board_channels(board).numbers >= 0).tolist()) for board in plane.boards}
