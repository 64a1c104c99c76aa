"""Rings: frames of a detector in shared memory, the images that they become, and room for copies of as many bytes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_benchmarks import reference
from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.detectors.reference_receiver import datagrams_of, receive_frame

IMAGE_RING_BYTES = 64 * 2**20
"""More than the caches hold, as in operation."""
N_EXPOSURES = 2


class Rings:
    """A detector's frames, converted by the platform, or only copied.

    Parameters
    ----------
    folder
        In shared memory.
    detector
        What is converted.
    exposures
        Raw pixels, (N_EXPOSURES, n_modules, rows, columns); the ring holds them in turn.

    Attributes
    ----------
    n_frames
        Frames of all modules in the ring: what one turn converts.
    frame_bytes, pixel_bytes
        Bytes of one module, raw and in the image.
    """

    def __init__(self, folder: Path, detector: Detector, exposures: NDArray[Any]) -> None:
        config = detector.config
        self.detector = detector
        self.frame_bytes = detector.packet_layout(0).frame_bytes
        self.pixel_bytes = exposures[0, 0].size * detector.image_dtype.itemsize
        self.n_slots: int = max(IMAGE_RING_BYTES // (config.n_modules * self.pixel_bytes), N_EXPOSURES)
        self.n_frames: int = self.n_slots * config.n_modules
        shape = (self.n_slots, config.n_modules)
        self.frames = _shared(folder / "frames", (*shape, self.frame_bytes), np.dtype(np.uint8))
        self.images = _shared(folder / "images", (self.n_slots, *config.image_shape), detector.image_dtype)
        # As many bytes are read and written together as by the conversion.
        self._copied_bytes = (self.frame_bytes + self.pixel_bytes) // 2
        self.sources = _shared(folder / "sources", (*shape, self._copied_bytes), np.dtype(np.uint8))
        self.targets = _shared(folder / "targets", (*shape, self.pixel_bytes), np.dtype(np.uint8))
        self.sources[:] = 1
        self._copy = reference.load("convert").copy_and_read
        self._copy.argtypes = (reference.POINTER,) * 2 + (reference.SIZE, reference.POINTER, reference.SIZE)
        self._converter = detector.converter()
        self.fill(exposures)

    def fill(self, exposures: NDArray[Any]) -> None:
        """Put other raw pixels into the ring."""
        layout = [self.detector.packet_layout(module) for module in range(self.detector.config.n_modules)]
        for number, raw in enumerate(exposures):
            for module, pixels in enumerate(raw):
                sent = self.detector.packets(module, 0, pixels, pulse_id=0, timestamp=0)
                frame, self.received = receive_frame(layout[module], datagrams_of(sent))
                self.frames[number::N_EXPOSURES, module] = frame

    def convert(self) -> float:
        """Convert all frames; returns modules a CPU second."""
        started = time.thread_time()
        for frames, image in zip(self.frames, self.images, strict=True):
            for module, frame in enumerate(frames):
                self._converter.convert(module, frame, self.received, 0, image)
        return self.n_frames / (time.thread_time() - started)

    def copy(self, tables: NDArray[Any] | None = None) -> float:
        """Copy as many bytes, and read tables (n_modules, n) once for each frame; returns modules a CPU second."""
        words = 0 if tables is None else tables[0].nbytes // 8
        of_module = [0 if tables is None else tables[module].ctypes.data for module in range(self.frames.shape[1])]
        addresses = [
            (self.targets[slot, module].ctypes.data, self.sources[slot, module].ctypes.data, of_module[module])
            for slot, module in np.ndindex(self.frames.shape[:2])
        ]
        started = time.thread_time()
        for target, source, table in addresses:
            self._copy(target, source, self._copied_bytes, table, words)
        return self.n_frames / (time.thread_time() - started)

    def check(self, expected: Iterator[NDArray[Any]]) -> None:
        """Compare all images with those of the exposures; raises AssertionError where a byte differs."""
        converter = self._converter
        for number, image in enumerate(expected):
            converter.fill_gaps(image)
            for slot in range(number, self.n_slots, N_EXPOSURES):
                converter.fill_gaps(self.images[slot])
                if self.images[slot].tobytes() != image.tobytes():
                    raise AssertionError(f"{self.detector.config.detector_type}: a converted image is wrong")


def _shared(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array in a file that is gone when nobody uses the array any more; its pages have been touched."""
    with path.open("xb") as file:
        file.truncate(int(np.prod(shape)) * dtype.itemsize)
    array = np.asarray(np.memmap(path, dtype, "r+", shape=shape))
    path.unlink()
    array.view(np.uint8)[:] = 0
    return array
