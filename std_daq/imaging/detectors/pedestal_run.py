"""What ``std-daq pedestal`` asks of a detector whose calibration comes from dark images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class PedestalRun(Protocol):
    """Takes dark frames and makes a calibration file of them."""

    @property
    def n_frames(self) -> Mapping[str, int]:
        """Frames taken in each gain stage, of the module that has the fewest."""

    def add(self, module: int, frame: NDArray[np.uint8], daq_rec: int) -> None:
        """Take one whole frame as it lies in the FrameBuffer, (frame_bytes,)."""

    def write(self, path: Path, *, attributes: Mapping[str, Any], overwrite: bool) -> str:
        """Write the file and say in one line what is in it.

        Raises
        ------
        ConfigError
            When a gain stage has no frames, or the file exists or cannot be written.
        """


@runtime_checkable
class HasPedestals(Protocol):
    """A detector with gain stages whose pedestals are taken from dark images."""

    def pedestal_stages(self, *, with_high_gain: bool) -> tuple[str, ...]:
        """Return the names of the stages that have to be taken, as in `PedestalRun.n_frames`."""

    def pedestal_run(self, *, n_skipped: int) -> PedestalRun:
        """Begin a run; after each change of the stage ``n_skipped`` frames are left out."""
