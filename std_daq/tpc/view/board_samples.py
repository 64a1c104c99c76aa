"""BoardSamples: what the samples of events tell of the boards of a chamber: noise, and silent channels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import Board
from std_daq.tpc.pads.plane import PadPlane

_FIRST_SAMPLE = 5
_SIGMA = 1.4826  # of a normal distribution, in medians of the absolute deviation
_FEW_SAMPLES = 64  # of a channel; of fewer, noise is not known


@dataclass(frozen=True, slots=True)
class BoardReadout:
    """What the samples tell of a board.

    Parameters
    ----------
    noise
        Median over its channels of the standard deviation of a channel without signal, in ADC units; None where it is
        not known.
    n_channels
        Channels that are connected; None where no map tells.
    n_silent
        Connected channels of which no event that was looked at has a sample that differs from the others; None where
        that is not known.
    """

    noise: float | None
    n_channels: int | None
    n_silent: int | None


class BoardSamples:
    """Looks at the samples of events.

    Parameters
    ----------
    plane
        The pads of the chamber.

    Attributes
    ----------
    n_looked_at
        Number of events looked at.
    """

    def __init__(self, plane: PadPlane) -> None:
        self._channels = {
            board: set(np.flatnonzero(plane.board_channels(board).numbers >= 0).tolist()) for board in plane.boards
        }
        self.reset()

    def reset(self) -> None:
        """Begin again, as with a new run."""
        self._noise: dict[Board, float] = {}
        self._heard: dict[Board, set[int]] = {}
        self.n_looked_at = 0

    @property
    def boards(self) -> frozenset[Board]:
        """The boards of the events that were looked at."""
        return frozenset(self._heard)

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

    def of(self, board: Board) -> BoardReadout:
        """Return what is known of a board."""
        channels = self._channels.get(board)
        is_known = channels is not None and self.n_looked_at > 0
        return BoardReadout(
            noise=self._noise.get(board),
            n_channels=None if channels is None else len(channels),
            n_silent=len(channels - self._heard.get(board, set())) if channels is not None and is_known else None,
        )


def _noise(samples: NDArray[np.int16]) -> float | None:
    """Return the noise of a board in channels of the ADC; signals are no noise, and neither is what was not sent."""
    deviations = []
    for row in samples:
        sent = row[row != 0]
        if len(sent) >= _FEW_SAMPLES:
            deviations.append(_SIGMA * float(np.median(np.abs(sent - np.median(sent)))))
    return float(np.median(deviations)) if deviations else None
