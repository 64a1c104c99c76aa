"""ImageBuilder: puts the modules of one exposure into a slot of the ImageBuffer."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_assembler.frame_source import Exposure
from std_daq.config.model import DetectorConfig
from std_daq.detectors.interface import Detector, FrameConverter
from std_daq.protocols.image_metadata import ImageStatus
from std_daq.shm.frame_buffer import FrameBuffer


@dataclass(slots=True)
class BuiltImage:
    """What is known after an image was built.

    Parameters
    ----------
    missing_packets
        Packets that are missing, for each module, (n_modules,).
    status
        What is wrong with the image.
    n_missing_modules
        Modules of which nothing came, without those that are off.
    n_overwritten_modules
        Modules whose frames were overwritten in the FrameBuffer before they were used: this service was too slow.
    """

    missing_packets: NDArray[np.uint32]
    status: ImageStatus
    n_missing_modules: int
    n_overwritten_modules: int


class ImageBuilder:
    """Converts frames straight from the FrameBuffer into the image, several modules at a time.

    Parameters
    ----------
    config, detector
        The detector.
    """

    def __init__(self, config: DetectorConfig, detector: Detector) -> None:
        self._parts = [[m for m in part.modules if m not in config.deactivate] for part in config.receivers]
        self._off = sorted(config.deactivate)
        self._packets_per_frame = [
            detector.packet_layout(module).packets_per_frame for module in range(config.n_modules)
        ]
        self._n_modules = config.n_modules
        n_threads = min(config.assembler.n_threads, sum(map(len, self._parts)))
        self._n_shares = max(1, n_threads)
        # The calling thread takes a share itself.
        self._pool = ThreadPoolExecutor(n_threads - 1, "convert") if n_threads > 1 else None

    def build(
        self, exposure: Exposure, frames: list[FrameBuffer | None], converter: FrameConverter, image: NDArray[Any]
    ) -> BuiltImage:
        """Build an image; what did not arrive gets the fill value.

        Parameters
        ----------
        exposure
            What to build.
        frames
            For each receiver, the FrameBuffer that it writes to.
        converter
            The detector's converter.
        image
            Where to write, (height, width).
        """
        built = BuiltImage(np.zeros(self._n_modules, np.uint32), ImageStatus.GOOD, 0, 0)
        jobs: list[_ModuleJob] = []
        for raw, ring, modules in zip(exposure.raw, frames, self._parts, strict=True):
            jobs += [_ModuleJob(module, raw, ring) for module in modules]
        shares = [jobs[i :: self._n_shares] for i in range(self._n_shares)]
        others = (
            []
            if self._pool is None
            else [
                self._pool.submit(self._convert_all, share, converter, image, built.missing_packets)
                for share in shares[1:]
            ]
        )
        n_missing, n_overwritten = self._convert_all(shares[0], converter, image, built.missing_packets)
        for other in others:
            more_missing, more_overwritten = other.result()
            n_missing += more_missing
            n_overwritten += more_overwritten
        for module in self._off:
            converter.fill(module, image)
        # What the receiver had and is not there any more was overwritten.
        built.n_missing_modules = min(n_missing, self._n_never_received(exposure))
        built.n_overwritten_modules = n_overwritten + n_missing - built.n_missing_modules
        built.status = self._status(exposure, built)
        return built

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _convert_all(
        self,
        jobs: "list[_ModuleJob]",
        converter: FrameConverter,
        image: NDArray[Any],
        missing_packets: NDArray[np.uint32],
    ) -> tuple[int, int]:
        n_missing = n_overwritten = 0
        for job in jobs:
            place = job.locate()
            if place is None or job.ring is None:
                n_missing += 1
            else:
                index, generation = place
                header = job.ring.headers[index]
                missing_packets[job.module] = header["n_missing_packets"]
                converter.convert(job.module, job.ring.frame(index), header["received"], int(header["daq_rec"]), image)
                if job.ring.is_unchanged(index, generation):
                    continue
                n_overwritten += 1
            missing_packets[job.module] = self._packets_per_frame[job.module]
            converter.fill(job.module, image)
        return n_missing, n_overwritten

    def _n_never_received(self, exposure: Exposure) -> int:
        return sum(
            len(modules) if raw is None else int(raw["n_missing_modules"][0])
            for raw, modules in zip(exposure.raw, self._parts, strict=True)
        )

    def _status(self, exposure: Exposure, built: BuiltImage) -> ImageStatus:
        status = ImageStatus.GOOD
        ids = {int(raw["id"][0]) for raw in exposure.raw if raw is not None}
        if len(ids) > 1 or any(
            int(raw["status"][0]) & ImageStatus.ID_MISMATCH for raw in exposure.raw if raw is not None
        ):
            status |= ImageStatus.ID_MISMATCH
        if built.missing_packets.any():
            status |= ImageStatus.MISSING_PACKETS
        if built.n_missing_modules:
            status |= ImageStatus.MISSING_MODULES
        if built.n_overwritten_modules:
            status |= ImageStatus.OVERWRITTEN
        return status


@dataclass(frozen=True, slots=True)
class _ModuleJob:
    module: int
    raw: NDArray[Any] | None
    ring: FrameBuffer | None

    def locate(self) -> tuple[int, int] | None:
        """Return where the module's frame lies and its generation; None where it has none of this exposure."""
        return None if self.raw is None or self.ring is None else self.ring.locate(self.raw, self.module)
