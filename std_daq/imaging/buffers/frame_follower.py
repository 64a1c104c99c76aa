"""FrameFollower: reads the raw frames of running receivers, submodule by submodule, for calibration."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import frame_buffer_path, frames_address
from std_daq.streams.doorbell import Doorbell
from std_daq.streams.follower import RingFollower

_FEW_ENTRIES = 16


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame of one submodule; its bytes are a copy, (frame_bytes,)."""

    submodule: int
    frame_index: int
    daq_rec: int
    pixels: NDArray[np.uint8]


class FrameFollower:
    """Reads frames that are published from now on; it yields complete frames, and counts those that it skips.

    Parameters
    ----------
    config
        Configuration of the detector.

    Attributes
    ----------
    n_incomplete
        Number of frames skipped because some or all of their packets were missing, or packets of them were refused.
    n_overwritten
        Number of frames skipped because this reader was too slow.
    """

    def __init__(self, config: DetectorConfig) -> None:
        path = frame_buffer_path(config)
        self._submodules = [
            config.submodules(m for m in part.modules if m not in config.deactivate) for part in config.receivers
        ]
        self._followers = [RingFollower(lambda: FrameBuffer.attach(path), journal=part[0]) for part in config.receivers]
        self._doorbell = Doorbell(*(frames_address(config, part) for part in config.receivers))
        self.n_incomplete = 0
        self.n_overwritten = 0

    def wait(self, timeout_s: float) -> None:
        """Wait until a receiver publishes something, at most ``timeout_s``."""
        if not any(follower.lag for follower in self._followers):
            self._doorbell.wait(timeout_s)

    def read(self) -> Iterator[RawFrame]:
        """Yield the frames that have been published and not read."""
        for follower, submodules in zip(self._followers, self._submodules, strict=True):
            part = follower.read(_FEW_ENTRIES)
            if part is None or follower.ring is None:
                continue
            self.n_overwritten += part.n_lost * len(submodules)
            for entry in part.entries:
                for submodule in submodules:
                    frame = self._copy(follower.ring, entry.reshape(1), submodule)
                    if frame is not None:
                        yield frame

    def close(self) -> None:
        """Release the rings."""
        self._doorbell.close()
        for follower in self._followers:
            follower.close()

    def _copy(self, ring: FrameBuffer, exposure: NDArray[np.void], submodule: int) -> RawFrame | None:
        place = ring.locate(exposure, submodule)
        if place is None:
            self.n_incomplete += 1
            return None
        index, generation = place
        header = ring.headers[index].copy()
        pixels = ring.frame(index).copy()
        if not ring.is_unchanged(index, generation):
            self.n_overwritten += 1
            return None
        # Read again: packets may be refused that come behind the last packet of a whole frame.
        if header["n_missing_packets"] or ring.n_refused(index):
            self.n_incomplete += 1
            return None
        return RawFrame(submodule, int(header["frame_index"]), int(header["daq_rec"]), pixels)
