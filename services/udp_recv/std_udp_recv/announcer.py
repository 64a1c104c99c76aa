"""FrameAnnouncer: brings together the modules of an exposure and describes it in a RawMetadata."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.protocols.image_metadata import ImageStatus
from std_daq.protocols.raw_metadata import RAW_METADATA
from std_daq.sync.synchroniser import Synchronised, Synchroniser
from std_udp_recv.port_receiver import EndedFrame


class FrameAnnouncer:
    """Pure: takes ended frames, returns what is to be published.

    A module whose frame is not in the exposure may still have one of the same number in its slot, from before a
    restart of the detector. A reader tells them apart by time: the frames of an exposure began between its
    ``first_arrival_ns`` and ``last_arrival_ns``.

    Parameters
    ----------
    modules
        The modules that are expected.
    window
        Exposures that may wait for modules at once.
    timeout_ns
        How long one waits.
    ring_epoch
        Epoch of the first frames in the ring; new at each start of the receiver.
    last
        Epoch and frame number of the exposure that this receiver published last, before it was started again. If the
        numbers go on from there the detector did not restart, and what lies between is lost.
    is_alternating
        Whether several ports bring alternate frames of a module.
    """

    def __init__(
        self,
        modules: Iterable[int],
        *,
        window: int,
        timeout_ns: int,
        ring_epoch: int,
        last: tuple[int, int] | None,
        is_alternating: bool,
    ) -> None:
        self._source_of = {module: source for source, module in enumerate(modules)}
        self._epoch_of = dict.fromkeys(self._source_of, ring_epoch)
        self._last = last
        self._first_epoch: int | None = None
        self._synchroniser: Synchroniser[EndedFrame] = Synchroniser(
            len(self._source_of), window=window, time_limit_ns=timeout_ns, consecutive=is_alternating
        )
        self.counters = self._synchroniser.counters
        self.n_stale = 0

    @property
    def n_waiting(self) -> int:
        """Exposures that wait for modules."""
        return len(self._synchroniser)

    def feed(self, module: int, frame: EndedFrame, now_ns: int) -> list[NDArray[Any]]:
        """Take one frame; returns exposures that are ready, each a RawMetadata of shape (1,)."""
        last_epoch = self._epoch_of[module]
        if frame.epoch < last_epoch:
            # The module's other port is still in the measurement before the restart.
            self.n_stale += 1
            return []
        self._epoch_of[module] = frame.epoch
        done = self._synchroniser.feed(
            self._source_of[module], frame.key, frame, now_ns, restarted=frame.epoch > last_epoch
        )
        return self._describe_all(done)

    def poll(self, now_ns: int) -> list[NDArray[Any]]:
        """Return exposures that have waited long enough."""
        return self._describe_all(self._synchroniser.poll(now_ns))

    def flush(self) -> list[NDArray[Any]]:
        """Return all exposures that wait."""
        return self._describe_all(self._synchroniser.flush())

    def _describe_all(self, done: Sequence[Synchronised[EndedFrame]]) -> list[NDArray[Any]]:
        return [self._describe(exposure) for exposure in done]

    def _describe(self, exposure: Synchronised[EndedFrame]) -> NDArray[Any]:
        frames = [frame for frame in exposure.payloads if frame is not None]
        first = frames[0]
        status = ImageStatus.GOOD
        if any(frame.n_missing_packets for frame in frames):
            status |= ImageStatus.MISSING_PACKETS
        if any(frame.id != first.id for frame in frames):
            status |= ImageStatus.ID_MISMATCH
        if exposure.missing:
            status |= ImageStatus.MISSING_MODULES
        raw = np.zeros(1, RAW_METADATA)
        raw["id"] = first.id % 2**64
        raw["pulse_id"] = first.pulse_id % 2**64
        raw["frame_index"] = exposure.key
        raw["daq_rec"] = first.daq_rec % 2**64
        raw["status"] = status
        raw["timestamp"] = first.timestamp % 2**64
        raw["first_arrival_ns"] = min(frame.first_arrival_ns for frame in frames)
        raw["last_arrival_ns"] = max(frame.last_arrival_ns for frame in frames)
        if self._first_epoch is None:
            self._first_epoch = self._continue_from_last(exposure.key)
        raw["epoch"] = self._first_epoch + exposure.epoch
        raw["n_missing_modules"] = len(exposure.missing)
        return raw

    def _continue_from_last(self, key: int) -> int:
        if self._last is None:
            return 0
        epoch, frame_number = self._last
        return epoch if key > frame_number else epoch + 1
