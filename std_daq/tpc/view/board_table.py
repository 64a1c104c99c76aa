"""BoardTable: how the boards of a chamber do: events, losses, noise, silent channels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import Board
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.view.board_samples import BoardReadout, BoardSamples


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
    readout
        What its samples tell.
    """

    board: Board
    n_events: int
    n_missing: int
    rate_hz: float
    readout: BoardReadout

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
        self._samples = BoardSamples(plane)
        self.reset()

    @property
    def n_looked_at(self) -> int:
        """Number of events whose samples were looked at."""
        return self._samples.n_looked_at

    def reset(self) -> None:
        """Begin again, as with a new run."""
        self._n_all = 0
        self._n_missing: Counter[Board] = Counter()
        self._n_before: dict[Board, int] = {}
        self._samples.reset()

    def count(self, missing: Sequence[Board]) -> None:
        """Count an event, in which some boards are missing."""
        self._n_all += 1
        self._n_missing.update(missing)

    def look(self, traces: NDArray[np.int16]) -> None:
        """Look at the samples of an event: rows of cobo, asad, aget, channel, pad, and 512 samples."""
        self._samples.look(traces)

    def rows(self, elapsed_s: float) -> list[BoardRow]:
        """Return all boards; ``elapsed_s`` is the time since the last call."""
        made = []
        for board in sorted({*self._expected, *self._samples.boards, *self._n_missing}):
            n_events = self._n_all - self._n_missing[board]
            new = n_events - self._n_before.get(board, 0)
            self._n_before[board] = n_events
            made.append(
                BoardRow(
                    board=board,
                    n_events=n_events,
                    n_missing=self._n_missing[board],
                    rate_hz=new / elapsed_s if elapsed_s > 0 else 0.0,
                    readout=self._samples.of(board),
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
        readout = row.readout
        noise = "" if readout.noise is None else f"{readout.noise:.1f}"
        silent = "" if readout.n_silent is None else f"{readout.n_silent} of {readout.n_channels}"
        lines.append(
            f"| {row.board[0]} | {row.board[1]} | {row.n_events} | {row.rate_hz:.1f} | {missing} | {noise} | {silent} |"
        )
    return "\n".join([*lines, "", f"Noise and silent channels: from {n_looked_at} events."])
