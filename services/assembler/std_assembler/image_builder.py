"""ImageBuilder: builds an image in a slot of the ImageBuffer, from the frames of one exposure."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_assembler.frame_source import Exposure
from std_assembler.submodules import count_absent, join_submodules
from std_daq.imaging.buffers.frame_buffer import FrameBuffer, FrameDescription
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.interface import Detector, FrameConverter
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.imaging.protocols.pulse_ids import NO_PULSE_ID, majority, out_of_step
from std_daq.imaging.protocols.raw_metadata import RawMetadata

# Operations on IntFlag members are slow.
_MISSING_PACKETS = int(ImageStatus.MISSING_PACKETS)
_ID_MISMATCH = int(ImageStatus.ID_MISMATCH)
_MISSING_MODULES = int(ImageStatus.MISSING_MODULES)
_OVERWRITTEN = int(ImageStatus.OVERWRITTEN)
_REFUSED_PACKETS = int(ImageStatus.REFUSED_PACKETS)
_OUT_OF_STEP = int(ImageStatus.OUT_OF_STEP)
_NOT_CALIBRATED = int(ImageStatus.NOT_CALIBRATED)
_RENUMBERED = int(ImageStatus.RENUMBERED)


@dataclass(slots=True)
class BuiltImage:
    """Result of building an image.

    Parameters
    ----------
    modules
        ModuleEntry of each module, (n_modules,).
    n_missing_packets
        Number of missing packets of all modules.
    status
        Status of the image.
    n_missing_modules
        Number of modules of which nothing came; deactivated modules do not count.
    n_overwritten_modules
        Number of modules of which nothing is in the image, because their frames were overwritten in the FrameBuffer
        before they were used: the assembler was too slow.
    first_module
        First module whose frame is in the image and in step; if there is none, the first active one.
    pulse_id
        Pulse id of most modules.
    """

    modules: NDArray[Any]
    n_missing_packets: int
    status: ImageStatus
    n_missing_modules: int
    n_overwritten_modules: int
    first_module: int
    pulse_id: int

    def modules_with(self, fault: ImageStatus) -> list[int]:
        """Return the modules that have a fault, ascending."""
        return np.flatnonzero(self.modules["status"] & int(fault)).tolist()


class ImageBuilder:
    """Converts frames straight from the FrameBuffer into the image, several modules at a time.

    Parameters
    ----------
    config, detector
        Configuration of the detector, and the detector.
    """

    def __init__(self, config: DetectorConfig, detector: Detector) -> None:
        parts = [config.submodules(m for m in part.modules if m not in config.deactivate) for part in config.receivers]
        self._members = [list(submodules) for submodules in parts]
        self._submodules_of = [len(submodules) for submodules in parts]
        self._off = config.submodules(sorted(config.deactivate))
        self._active = [module for module in range(config.n_modules) if module not in config.deactivate]
        self._packets_per_frame = [
            detector.packet_layout(submodule).packets_per_frame for submodule in range(config.n_submodules)
        ]
        self._n_interfaces = config.udp.numinterfaces
        jobs = [(source, submodule) for source, submodules in enumerate(parts) for submodule in submodules]
        n_threads = max(1, min(config.assembler.n_threads, len(jobs)))
        self._shares = [jobs[i::n_threads] for i in range(n_threads)]
        # The calling thread converts a share itself.
        self._pool = ThreadPoolExecutor(n_threads - 1, "convert") if n_threads > 1 else None

    def build(
        self, exposure: Exposure, frames: list[FrameBuffer | None], converter: FrameConverter, image: NDArray[Any]
    ) -> BuiltImage:
        """Build an image; pixels that did not arrive get the fill value.

        Parameters
        ----------
        exposure
            Exposure to build.
        frames
            For each receiver, the FrameBuffer that it writes to.
        converter
            Converter of the detector.
        image
            Memory of the image, (height, width).
        """
        submodules = np.zeros(len(self._packets_per_frame), MODULE_ENTRY)
        work = _Work(exposure.raw, frames, converter, image, submodules)
        others = (
            [] if self._pool is None else [self._pool.submit(self._convert, share, work) for share in self._shares[1:]]
        )
        n_missing, n_overwritten = self._convert(self._shares[0], work)
        for other in others:
            more_missing, more_overwritten = other.result()
            n_missing += more_missing
            n_overwritten += more_overwritten
        for submodule in self._off:
            converter.fill(submodule, image)
        # A frame that the receiver had, and that is no longer in the ring, was overwritten.
        n_missing_modules = min(n_missing, self._n_never_received(exposure))
        n_overwritten += n_missing - n_missing_modules
        is_in_step = _is_in_step(exposure)
        if is_in_step:
            pulse_id = next((raw.pulse_id for raw in exposure.arrived if raw.pulse_id != NO_PULSE_ID), NO_PULSE_ID)
        else:
            pulse_ids = submodules["pulse_id"].tolist()
            pulse_id = majority(pulse_ids)
            submodules["status"][list(out_of_step(pulse_ids))] |= np.uint16(_OUT_OF_STEP)
        self._mark_refused(exposure, submodules)
        self._mark_renumbered(exposure, submodules)
        has_overwritten, modules = n_overwritten > 0, submodules
        if self._n_interfaces > 1:
            modules = join_submodules(submodules, self._n_interfaces)
            n_missing_modules, n_overwritten = count_absent(submodules, self._n_interfaces)
        statuses = modules["status"].tolist()
        built = BuiltImage(
            modules=modules,
            n_missing_packets=sum(modules["missing_packets"].tolist()),
            status=ImageStatus.GOOD,
            n_missing_modules=n_missing_modules,
            n_overwritten_modules=n_overwritten,
            first_module=self._first_module(statuses),
            pulse_id=pulse_id,
        )
        built.status = _status(exposure, built, statuses, has_overwritten=has_overwritten, is_in_step=is_in_step)
        return built

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _convert(self, share: list[tuple[int, int]], work: "_Work") -> tuple[int, int]:
        """Convert a share of (receiver, submodule) pairs; return how many submodules are missing, and overwritten."""
        n_missing = n_overwritten = 0
        for source, submodule in share:
            raw, ring = work.raw[source], work.frames[source]
            place = None
            if raw is not None and ring is not None:
                place = ring.find(raw.frame_index, submodule, raw.first_arrival_ns, raw.last_arrival_ns)
            if place is None or ring is None:
                n_missing += 1
                status = _MISSING_MODULES if raw is None or raw.n_missing_modules else _OVERWRITTEN
            else:
                index, generation = place
                frame = ring.describe(index)
                is_calibrated = work.converter.convert(
                    submodule, ring.frame(index), ring.headers[index]["received"], frame.daq_rec, work.image
                )
                # After the conversion: packets may be refused that come behind the last packet of a whole frame.
                n_refused = ring.n_refused(index)
                if ring.is_unchanged(index, generation):
                    work.submodules[submodule] = _entry(frame, n_refused, is_calibrated=is_calibrated)
                    continue
                n_overwritten += 1
                status = _OVERWRITTEN
            work.submodules[submodule] = (0,) * 5 + (self._packets_per_frame[submodule], status, 0, 0, 0, 0, b"")
            work.converter.fill(submodule, work.image)
        return n_missing, n_overwritten

    def _first_module(self, statuses: list[int]) -> int:
        unfit = _MISSING_MODULES | _OVERWRITTEN | _OUT_OF_STEP
        there = (module for module in self._active if not statuses[module] & unfit)
        return next(there, self._active[0])

    def _mark_refused(self, exposure: Exposure, submodules: NDArray[Any]) -> None:
        """Mark what is missing of a receiver that has refused packets, if it has refused none of what is there."""
        statuses = submodules["status"]
        for raw, members in zip(exposure.raw, self._members, strict=True):
            if raw is None or not raw.status & _REFUSED_PACKETS or (statuses[members] & _REFUSED_PACKETS).any():
                continue
            missing = [member for member in members if statuses[member] & _MISSING_MODULES]
            statuses[missing] |= np.uint16(_REFUSED_PACKETS)

    def _mark_renumbered(self, exposure: Exposure, submodules: NDArray[Any]) -> None:
        """Mark the modules that count differently, as far as they are known.

        A receiver does not say which of its modules it is. If a single one is missing, it is this one.
        """
        statuses = submodules["status"]
        for source, (raw, members) in enumerate(zip(exposure.raw, self._members, strict=True)):
            if source in exposure.renumbered:
                statuses[members] |= np.uint16(_RENUMBERED)
            elif raw is not None and raw.status & _RENUMBERED:
                missing = [member for member in members if statuses[member] & _MISSING_MODULES]
                if len({member // self._n_interfaces for member in missing}) == 1:
                    statuses[missing] |= np.uint16(_RENUMBERED)

    def _n_never_received(self, exposure: Exposure) -> int:
        return sum(
            n_submodules if raw is None else raw.n_missing_modules
            for raw, n_submodules in zip(exposure.raw, self._submodules_of, strict=True)
        )


class _Work(NamedTuple):
    """Arguments of the conversion of one image, the same for all threads."""

    raw: list[RawMetadata | None]
    frames: list[FrameBuffer | None]
    converter: FrameConverter
    image: NDArray[Any]
    submodules: NDArray[Any]


def _entry(frame: FrameDescription, n_refused: int, *, is_calibrated: bool) -> tuple[int | bytes, ...]:
    """Return the fields of the ModuleEntry of a frame, in their order."""
    return (
        frame.pulse_id,
        frame.frame_index,
        frame.timestamp,
        frame.exposure_length,
        frame.daq_rec % 2**32,
        frame.n_missing_packets,
        (_MISSING_PACKETS if frame.n_missing_packets else 0)
        | (_REFUSED_PACKETS if n_refused else 0)
        | (0 if is_calibrated else _NOT_CALIBRATED),
        frame.storage_cell,
        frame.module_id,
        0,
        frame.first_arrival_ns,
        b"",
    )


def _is_in_step(exposure: Exposure) -> bool:
    """Return whether the modules of each receiver have one pulse id, and all receivers the same."""
    arrived = exposure.arrived
    if any(raw.status & _OUT_OF_STEP for raw in arrived):
        return False
    first = arrived[0].pulse_id
    return all(raw.pulse_id == first for raw in arrived) or not out_of_step([raw.pulse_id for raw in arrived])


def _status(
    exposure: Exposure, built: BuiltImage, statuses: list[int], *, has_overwritten: bool, is_in_step: bool
) -> ImageStatus:
    status = ImageStatus.GOOD
    arrived = exposure.arrived
    first_id = arrived[0].id
    if any(raw.id != first_id or raw.status & _ID_MISMATCH for raw in arrived):
        status |= ImageStatus.ID_MISMATCH
    if exposure.renumbered or any(raw.status & _RENUMBERED for raw in arrived):
        status |= ImageStatus.RENUMBERED
    if built.n_missing_packets:
        status |= ImageStatus.MISSING_PACKETS
    if built.n_missing_modules:
        status |= ImageStatus.MISSING_MODULES
    if has_overwritten:
        status |= ImageStatus.OVERWRITTEN
    if any(of_one & _REFUSED_PACKETS for of_one in (*statuses, *(raw.status for raw in arrived))):
        status |= ImageStatus.REFUSED_PACKETS
    if not is_in_step:
        status |= ImageStatus.OUT_OF_STEP
    if (built.modules["status"] & _NOT_CALIBRATED).any():
        status |= ImageStatus.NOT_CALIBRATED
    return status
