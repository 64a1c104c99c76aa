"""Interface of a detector that is calibrated with dark images, as ``std-daq pedestal`` uses it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class PedestalRun(Protocol):
    """Collector of dark frames, from which it makes a calibration file; what it has can be written at any time."""

    @property
    def n_frames(self) -> Mapping[str, int]:
        """Number of frames in each gain stage, for the submodule (and storage cell) with the fewest frames."""

    def add(self, submodule: int, /, frame: NDArray[np.uint8], daq_rec: int) -> None:
        """Add one whole frame as it lies in the FrameBuffer, (frame_bytes,)."""

    @property
    def has_frames(self) -> bool:
        """Whether there is anything to write."""

    def add_file(self, path: Path) -> None:
        """Add the frames of a file that an earlier run has written; raises CalibrationError."""

    def missing(self, stages: Sequence[str], n_wanted: int) -> list[str]:
        """Return what has fewer frames than wanted, as texts."""

    def write(self, path: Path, *, attributes: Mapping[str, Any], overwrite: bool) -> str:
        """Write the file, and return one line that says what it contains.

        Raises
        ------
        ConfigError
            There are no frames at all, or the file exists or cannot be written.
        """


@runtime_checkable
class HasPedestals(Protocol):
    """A detector with gain stages, whose pedestals are measured with dark images."""

    def pedestal_stages(self, *, with_high_gain: bool) -> tuple[str, ...]:
        """Return the names of the stages that are needed; `PedestalRun.n_frames` has the same names."""

    def pedestal_run(self, *, n_skipped: int) -> PedestalRun:
        """Start a run; it ignores the first ``n_skipped`` frames after each change of the stage."""
