"""Assembly: exposures of a detector with any number of modules, and the service that makes images of them."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from std_assembler.__main__ import start
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config import DetectorConfig, parse_config
from std_daq.imaging.config.paths import frame_buffer_path, frames_address, image_buffer_path
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_daq.streams.doorbell import DoorbellPublisher
from std_test_kit.services import service_context

_ROWS, _COLUMNS = 256, 514
_PIXELS = 256 * 512


class Assembly:
    """A FrameBuffer that is full of frames, and the assembler.

    Frames are whole and differ by module alone, so they are placed once; what a receiver tells of an exposure, its
    ModuleFrames and RawMetadata, is made for each.

    Parameters
    ----------
    folder
        Where the rings are made.
    n_modules
        EIGER modules of 16 bits, one below the other.
    ring_bytes
        Size of both rings, about.
    """

    def __init__(self, folder: Path, n_modules: int, ring_bytes: int) -> None:
        config = _configure(folder, n_modules, ring_bytes)
        context = service_context(config)
        self.n_modules = n_modules
        self._detector = open_detector(config)
        layout = self._detector.packet_layout(0)
        self._frames, _ = FrameBuffer.create(
            frame_buffer_path(config),
            n_modules=n_modules,
            frame_bytes=layout.frame_bytes,
            n_units=layout.n_units,
            buffer_bytes=ring_bytes,
        )
        self._frames.data.reshape(self._frames.n_slots, n_modules, -1).view(np.uint16)[:] = (
            1 + np.arange(n_modules, dtype=np.uint16)[:, None]
        )
        self._frames.headers["received"] = np.packbits(
            np.arange(64 * self._frames.headers["received"].shape[1]) < layout.n_units, bitorder="little"
        ).view(np.uint64)
        self._frames.headers["n_received_packets"] = layout.packets_per_frame
        self._doorbell = DoorbellPublisher(frames_address(config, config.receivers[0]))
        self._assembler = start(context)
        self.images = ImageBuffer.attach(image_buffer_path(config))
        self._n_exposures = 0

    def publish(self, n: int) -> None:
        """Publish exposures as a receiver does."""
        for _ in range(n):
            frame_index = self._n_exposures
            self._n_exposures += 1
            now_ns = time.time_ns()
            first = self._frames.index(frame_index, 0)
            headers = self._frames.headers[first : first + self.n_modules]
            headers["generation"] += 2
            headers["id"] = headers["frame_index"] = frame_index
            headers["first_arrival_ns"] = headers["last_arrival_ns"] = now_ns
            raw = np.zeros(1, RAW_METADATA)
            raw["id"] = raw["frame_index"] = frame_index
            raw["first_arrival_ns"] = raw["last_arrival_ns"] = now_ns
            self._frames.journals[0].append(raw)
            self._doorbell.ring(raw)

    def assemble(self) -> float:
        """Have the assembler make images of all that is published; returns its CPU seconds."""
        started = time.thread_time()
        while self.images.journal.next_sequence < self._n_exposures:
            self._assembler.step()
        return time.thread_time() - started

    def check(self) -> None:
        """Raise AssertionError if an image is missing, or the last one has a pixel that is wrong."""
        entry = self.images.journal.read(self._n_exposures - 1, 1).entries
        if int(entry["frame_index"][0]) != self._n_exposures - 1 or entry["status"][0] or entry["n_missing_packets"][0]:
            raise AssertionError(f"exposure {self._n_exposures - 1} is not there, or not whole")
        image = self.images.images[self.images.slot(self._n_exposures - 1)]
        values, counts = np.unique(image.reshape(self.n_modules, _ROWS * _COLUMNS), return_counts=True)
        wanted = dict.fromkeys(range(1, self.n_modules + 1), _PIXELS) | {0: self.n_modules * _ROWS * 2}
        if dict(zip(values.tolist(), counts.tolist(), strict=True)) != wanted:
            raise AssertionError("modules are in the wrong place")

    def close(self) -> None:
        """End the service and let go of the rings."""
        self.images.close()
        self._assembler.close()
        self._doorbell.close()
        self._frames.close()


def _configure(folder: Path, n_modules: int, ring_bytes: int) -> DetectorConfig:
    document: dict[str, Any] = {
        "detector_name": f"scale-{n_modules}",
        "detector_type": "eiger",
        "n_modules": n_modules,
        "bit_depth": 16,
        "image_pixel_height": _ROWS * n_modules,
        "image_pixel_width": _COLUMNS,
        "start_udp_port": 50000,
        "module_positions": {m: (0, _ROWS * m, _COLUMNS - 1, _ROWS * (m + 1) - 1) for m in range(n_modules)},
        "ram_buffer_gb": ring_bytes / 1e9,
        "shared_memory": {"directory": str(folder), "frame_buffer_gb": ring_bytes / 1e9},
        "assembler": {"n_threads": 1},
    }
    return parse_config(document)
