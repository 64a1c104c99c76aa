"""JungfrauModule: the detector of these benchmarks, its calibration files, what it sends and what has to come out."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from std_benchmarks.image_path.naive_chain import Calibration, correct
from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.simulation.packet_templates import PacketTemplates
from std_daq.packets.bursts import Burst
from std_daq.packets.sending import PacketSender
from std_daq.packets.transmission import Transmission, patient_pacer
from std_test_kit.free_ports import free_udp_ports

SHAPE = (512, 1024)
N_PATTERNS = 16
"""Different images; they repeat."""
SENT_BYTES = 128 * (48 + 8192)
"""Bytes of the packets of an image, with headers."""
FILE_BYTES = SHAPE[0] * SHAPE[1] * 4
"""Bytes of an image in the file: keV, float32, uncompressed."""
N_SLOTS = 256
"""Images that may lie between two links of a chain."""


class JungfrauModule:
    """One module that shows photons, nearly all in the first gain stage, as in most experiments; a context manager.

    Parameters
    ----------
    folder
        Takes configuration, calibration files, sockets and records.
    rings
        Folder in shared memory.
    receiving_core
        CPU of the receiver's thread; any by default.

    Attributes
    ----------
    pedestal_file, gain_file
        Its calibration.
    config_file, config
        Its configuration.
    next_frame
        Number of the frame that is sent next; they go on from series to series.
    sender_cpu_s
        CPU seconds that sending has taken so far.
    """

    def __init__(self, folder: Path, rings: Path, receiving_core: int | None = None) -> None:
        self.pedestal_file, self.gain_file = folder / "pedestal.h5", folder / "gain.h5"
        _write_calibration(self.pedestal_file, self.gain_file)
        self.config_file = folder / "detector.json"
        self.config_file.write_text(json.dumps(self._document(folder, rings, receiving_core)))
        self.config: DetectorConfig = load_config(self.config_file)
        detector = open_detector(self.config)
        # Of read-only images the simulation keeps the packets: only headers are written anew for each exposure.
        self._patterns = list(itertools.islice(detector.simulated_frames("photons", 1), N_PATTERNS))
        self._templates = PacketTemplates(detector)
        self._sender = PacketSender("127.0.0.1", self.config.start_udp_port)
        self.next_frame = 1
        self.sender_cpu_s = 0.0
        for _ in self.frames(1, N_PATTERNS):
            pass

    def send(self, n_images: int, rate_hz: float) -> float:
        """Send the next images; returns how many seconds longer it took than the rate says."""
        first, self.next_frame = self.next_frame, self.next_frame + n_images
        sinks = {self.config.start_udp_port: self._sender}
        series = Transmission(_Series(self, first, n_images), sinks, rate_hz=rate_hz)
        started = time.thread_time()
        series.run()
        self.sender_cpu_s += time.thread_time() - started
        return series.forgotten_s

    def send_and_note(self, n_images: int, rate_hz: float) -> list[int]:
        """Send the next images; returns when the last packet of each had been taken, in monotonic nanoseconds."""
        first, self.next_frame = self.next_frame, self.next_frame + n_images
        pacer = patient_pacer(rate_hz)
        frames = self.frames(first, n_images)
        sent_ns = []
        # A frame is made right before it is sent: right after the last one others have work to do.
        while pacer.wait() and (bursts := next(frames, None)) is not None:
            for burst in bursts:
                self._sender.send_from(burst.buffer, burst.offsets, burst.lengths)
            sent_ns.append(time.monotonic_ns())
        return sent_ns

    def frames(self, first: int, n_images: int) -> Iterator[list[Burst]]:
        """Yield the bursts of one frame after the other; those of a frame are valid until the next."""
        for number in range(first, first + n_images):
            pattern = self._patterns[number % N_PATTERNS]
            (frame,) = self._templates.exposure(pattern, number, pulse_id=number, timestamp=number)
            packets = frame.packets.reshape(-1)
            offsets = np.arange(len(frame.packets), dtype=np.int64) * frame.packets.shape[1]
            yield [Burst(self.config.start_udp_port, packets, offsets, frame.lengths)]

    def expected(self) -> list[NDArray[np.float32]]:
        """Return the images that have to come out, worked out by numpy: that of a frame at its number % N_PATTERNS."""
        calibration = Calibration.load(self.pedestal_file, self.gain_file)
        return [correct(pattern[0], calibration) for pattern in self._patterns]

    def close(self) -> None:
        """Send no more."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _document(self, folder: Path, rings: Path, receiving_core: int | None) -> dict[str, Any]:
        return {
            "detector_name": f"bench-{os.getpid()}",
            "detector_type": "jungfrau",
            "n_modules": 1,
            "bit_depth": 16,
            "image_pixel_height": SHAPE[0],
            "image_pixel_width": SHAPE[1],
            "module_positions": {"0": [0, 0, SHAPE[1] - 1, SHAPE[0] - 1]},
            "start_udp_port": free_udp_ports(1),
            "detector": {
                "conversion": "kev",
                "pedestal_file": str(self.pedestal_file),
                "gain_file": str(self.gain_file),
            },
            "udp": {"address": "127.0.0.1"} | ({} if receiving_core is None else {"cpus": [receiving_core]}),
            "shared_memory": {"directory": str(rings), "frame_slots": N_SLOTS, "image_slots": N_SLOTS},
            "runtime_dir": str(folder),
            "log_level": "warning",
        }


class _Series:
    """A BurstSource: some images of the module."""

    def __init__(self, module: JungfrauModule, first: int, n_images: int) -> None:
        self._module = module
        self._first = first
        self._n_images = n_images

    def frames(self) -> Iterator[list[Burst]]:
        """Yield the bursts of one frame after the other."""
        return self._module.frames(self._first, self._n_images)


def _write_calibration(pedestal_file: Path, gain_file: Path) -> None:
    random = np.random.default_rng(0)
    with h5py.File(pedestal_file, "x") as file:
        centre = np.array([2500, 14000, 13500])[:, None, None]
        file["gains"] = random.normal(centre, 50, (3, *SHAPE)).astype(np.float32)
        file["pixel_mask"] = np.zeros(SHAPE, np.uint32)
    with h5py.File(gain_file, "x") as file:
        scale = np.array([40, -1.4, -0.1, 100])[:, None, None]
        file["gains"] = (scale * random.normal(1, 0.03, (4, *SHAPE))).astype(np.float32)
