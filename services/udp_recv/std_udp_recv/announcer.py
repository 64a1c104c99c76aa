"""FrameAnnouncer: brings together the frames of an exposure, and describes the exposure in a RawMetadata."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.imaging.protocols.pulse_ids import NO_PULSE_ID, majority, out_of_step
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_daq.sync.synchroniser import Synchronised, Synchroniser
from std_udp_recv.continuity import Continuity, ModuleContinuity
from std_udp_recv.port_receiver import EndedFrame


class FrameAnnouncer:
    """Takes ended frames, and returns the exposures to publish. Pure.

    If a module has no frame in an exposure, its slot may still hold a frame with the same number from before a restart
    of the detector. A reader tells the two apart by time: the first packets of all frames of an exposure arrived
    between its ``first_arrival_ns`` and ``last_arrival_ns``.

    If the frame numbers of one module do not go with those of the others, its frames are not used, and the exposures
    are marked as renumbered.

    Parameters
    ----------
    module_of_port
        Module whose frames arrive on each port. A module with several ports has alternate frames on them.
    window
        Largest number of exposures that wait for modules at the same time.
    timeout_ns
        Longest time for which an exposure waits, in nanoseconds.
    last
        Epoch and frame number of the last exposure that this receiver published before it was restarted; None if there
        is none. If the frame numbers go on from there, the detector did not restart, and the exposures in between are
        lost.
    has_refused
        Returns whether a port has refused packets of its module, see `PortReceiver.has_refused`: called with the port,
        and the first and last arrival of the exposure. So an exposure is marked also if all packets of a module are
        refused, and there is no frame of the module.
    clock
        Clock of the times of arrival. The packets of a frame behind a restart may have been in quarantine until the
        next series began; then its age tells to which series it belongs. None if frames are fed as soon as they arrive.
    frame_step
        Difference between the numbers of consecutive frames.

    Attributes
    ----------
    published
        One word: frame number of the last exposure that was returned; -1 if there is none. See `Port.published`.
    """

    def __init__(
        self,
        module_of_port: Mapping[int, int],
        *,
        window: int,
        timeout_ns: int,
        last: tuple[int, int] | None,
        has_refused: Callable[[int, int, int], bool] = lambda *_: False,
        clock: Callable[[], int] | None = None,
        frame_step: int = 1,
    ) -> None:
        self._has_refused = has_refused
        self._clock = clock
        self._module_of_port = dict(module_of_port)
        self._modules = sorted(set(module_of_port.values()))
        self._source_of = {module: source for source, module in enumerate(self._modules)}
        self._continuity = {module: ModuleContinuity() for module in self._modules}
        self._n_out_of_step = dict.fromkeys(self._modules, 0)
        self._n_stale = dict.fromkeys(self._modules, 0)
        self._last = last
        self._first_epoch: int | None = None
        self.published = np.full(1, -1 if last is None else last[1])
        self._synchroniser: Synchroniser[EndedFrame] = Synchroniser(
            len(self._modules),
            window=window,
            time_limit_ns=timeout_ns,
            consecutive=len(self._module_of_port) > len(self._modules),
            max_step=-(-len(self._module_of_port) // len(self._modules)) * frame_step,
        )
        self.counters = self._synchroniser.counters

    @property
    def n_waiting(self) -> int:
        """Number of exposures that wait for modules."""
        return len(self._synchroniser)

    def feed(self, port: int, frame: EndedFrame, now_ns: int) -> list[NDArray[Any]]:
        """Take one frame of a port, and return the exposures that are ready, each a RawMetadata of shape (1,)."""
        module = self._module_of_port[port]
        continuity = self._continuity[module].judge(
            port, epoch=frame.epoch, key=frame.key, first_arrival_ns=frame.first_arrival_ns
        )
        if continuity is Continuity.STALE:
            self._n_stale[module] += 1
            return []
        source = self._source_of[module]
        if continuity is Continuity.BEFORE_RESTART:
            return self._describe_all(self._synchroniser.feed_older(source, frame.key, frame, now_ns))
        if continuity is Continuity.RESTARTED:
            age_ns = 0 if self._clock is None else max(0, self._clock() - frame.last_arrival_ns)
            return self._describe_all(
                self._synchroniser.feed(source, frame.key, frame, now_ns, restarted=True, arrived_ns=now_ns - age_ns)
            )
        return self._describe_all(self._synchroniser.feed(source, frame.key, frame, now_ns))

    def n_unused(self) -> dict[int, int]:
        """Return for each module how many frames came after their exposure was published or given up."""
        return {
            module: self._n_stale[module] + self.counters.late[source] + self.counters.duplicate[source]
            for module, source in self._source_of.items()
        }

    def n_out_of_step(self) -> dict[int, int]:
        """Return for each module how many of its frames had another pulse id than those of the majority."""
        return dict(self._n_out_of_step)

    def n_renumbered(self) -> dict[int, int]:
        """Return for each module how many frames were not used, because the module counts differently."""
        return {module: self.counters.odd[source] for module, source in self._source_of.items()}

    def frames_ahead(self) -> dict[int, int]:
        """Return how many frames each module that counts differently is ahead of the others; negative: behind."""
        return {self._modules[source]: offset for source, offset in self._synchroniser.odd.items()}

    def poll(self, now_ns: int) -> list[NDArray[Any]]:
        """Return the exposures that have waited for longer than the timeout."""
        return self._describe_all(self._synchroniser.poll(now_ns))

    def flush(self) -> list[NDArray[Any]]:
        """Return all waiting exposures."""
        return self._describe_all(self._synchroniser.flush())

    def _describe_all(self, done: Sequence[Synchronised[EndedFrame]]) -> list[NDArray[Any]]:
        return [self._describe(exposure) for exposure in done]

    def _describe(self, exposure: Synchronised[EndedFrame]) -> NDArray[Any]:
        frames = [frame for frame in exposure.payloads if frame is not None]
        first = frames[0]
        first_arrival_ns, last_arrival_ns = first.first_arrival_ns, first.last_arrival_ns
        is_refused, is_in_step = False, True
        status = ImageStatus.MISSING_MODULES if exposure.missing else ImageStatus.GOOD
        if any(source in self._synchroniser.odd for source in exposure.missing):
            status |= ImageStatus.RENUMBERED
        for frame in frames:
            if frame.n_missing_packets:
                status |= ImageStatus.MISSING_PACKETS
            if frame.id != first.id:
                status |= ImageStatus.ID_MISMATCH
            first_arrival_ns = min(first_arrival_ns, frame.first_arrival_ns)
            # First arrivals count here too. Otherwise, if the clock was set back meanwhile, a first arrival could be
            # later than last_arrival_ns.
            last_arrival_ns = max(last_arrival_ns, frame.first_arrival_ns, frame.last_arrival_ns)
            is_refused |= frame.n_refused_packets > 0
            is_in_step &= frame.pulse_id == first.pulse_id
        if not is_in_step:
            pulse_ids = [NO_PULSE_ID if frame is None else frame.pulse_id for frame in exposure.payloads]
            if self._count_out_of_step(pulse_ids):
                status |= ImageStatus.OUT_OF_STEP
            usual = majority(pulse_ids)
            first = next(frame for frame in frames if frame.pulse_id == usual)
        if is_refused or self._is_missing_refused(exposure, first_arrival_ns, last_arrival_ns):
            status |= ImageStatus.REFUSED_PACKETS
        if self._first_epoch is None:
            self._first_epoch = self._continue_from_last(exposure.key)
        self.published[0] = exposure.key
        # Setting all fields at once is three times as fast as setting them one by one.
        raw = (
            first.id % 2**64,
            first.pulse_id % 2**64,
            exposure.key,
            first.daq_rec % 2**64,
            status,
            0,  # the journal sets the sequence number
            first.timestamp % 2**64,
            first_arrival_ns,
            last_arrival_ns,
            self._first_epoch + exposure.epoch,
            len(exposure.missing),
        )
        return np.array([raw], RAW_METADATA)

    def _count_out_of_step(self, pulse_ids: Sequence[int]) -> int:
        """Count the modules with another pulse id than the majority, and return their number."""
        odd = out_of_step(pulse_ids)
        for source in odd:
            self._n_out_of_step[self._modules[source]] += 1
        return len(odd)

    def _is_missing_refused(
        self, exposure: Synchronised[EndedFrame], first_arrival_ns: int, last_arrival_ns: int
    ) -> bool:
        """Return whether packets were refused that claim the frame of a missing module."""
        missing = {self._modules[source] for source in exposure.missing}
        return any(
            self._has_refused(port, first_arrival_ns, last_arrival_ns)
            for port, module in self._module_of_port.items()
            if module in missing
        )

    def _continue_from_last(self, key: int) -> int:
        if self._last is None:
            return 0
        epoch, frame_number = self._last
        return epoch if key > frame_number else epoch + 1
