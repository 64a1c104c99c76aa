"""Histograms as a message: what a service sends to whoever shows them.

Frames: a JSON object, and for each histogram its counts, little-endian uint32, compressed by zlib.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.histograms.definitions import DEFINITIONS
from std_daq.tpc.histograms.histogram_set import HistogramSet, Tally

VERSION = 1
Scope = Literal["run", "recent"]
_COUNT = np.dtype("<u4")
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class HistogramMessage:
    """Histograms at a moment.

    Parameters
    ----------
    scope
        ``run``: of one run; ``recent``: of the last minutes.
    epoch
        The run; None for those of the last minutes, and before the first event.
    window_s
        Length of the last minutes; None for those of a run.
    tally
        How many events they have taken, and how many they have not.
    n_outside, counts
        By name.
    """

    scope: Scope
    epoch: int | None
    window_s: float | None
    tally: Tally
    n_outside: dict[str, int]
    counts: dict[str, NDArray[np.uint32]]

    @classmethod
    def of_run(cls, epoch: int | None, histograms: HistogramSet) -> Self:
        """Return a message about a run."""
        return cls("run", epoch, None, histograms.tally, histograms.n_outside, histograms.counts)

    @classmethod
    def of_window(cls, window_s: float, histograms: HistogramSet) -> Self:
        """Return a message about the last minutes."""
        return cls("recent", None, window_s, histograms.tally, histograms.n_outside, histograms.counts)

    def copy(self) -> Self:
        """Return a copy, which does not change when the histograms do."""
        counts = {name: one.copy() for name, one in self.counts.items()}
        return replace(self, tally=replace(self.tally), n_outside=dict(self.n_outside), counts=counts)

    def frames(self) -> list[bytes]:
        """Return the message."""
        head = {
            "version": VERSION,
            "scope": self.scope,
            "epoch": self.epoch,
            "window_s": self.window_s,
            "n_events": self.tally.n_events,
            "n_left_out": self.tally.n_left_out,
            "n_estimates": self.tally.n_estimates,
            "histograms": [{"name": name, "n_outside": self.n_outside[name]} for name in self.counts],
        }
        packed = [zlib.compress(counts.astype(_COUNT, copy=False).tobytes(), _LEVEL) for counts in self.counts.values()]
        return [json.dumps(head).encode(), *packed]

    @classmethod
    def of_frames(cls, frames: Sequence[bytes]) -> Self:
        """Read a message.

        Raises
        ------
        ValueError
            It is no such message, or of another version.
        """
        try:
            head = json.loads(frames[0])
            if head["version"] != VERSION:
                raise ValueError(f"version {head['version']} of the histograms is not known, only {VERSION}")
            shapes = {one.name: one.shape for one in DEFINITIONS}
            counts = {
                one["name"]: np.frombuffer(zlib.decompress(packed), _COUNT).reshape(shapes[one["name"]])
                for one, packed in zip(head["histograms"], frames[1:], strict=True)
            }
            tally = Tally(head["n_events"], head["n_left_out"], head["n_estimates"])
            n_outside = {one["name"]: one["n_outside"] for one in head["histograms"]}
            return cls(head["scope"], head["epoch"], head["window_s"], tally, n_outside, counts)
        except (LookupError, TypeError, zlib.error, RecursionError) as error:
            raise ValueError(f"this is no message of histograms: {error}") from error
