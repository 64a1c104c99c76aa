"""TwoServers: stream_send and stream_recv as processes of their own, and the rings between which images go."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from std_daq.config.paths import make_runtime_dir
from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.paths import image_buffer_path, images_address
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, dtype_code
from std_daq.streams.doorbell import DoorbellPublisher
from std_daq.streams.tcp.authority import CA_FILE, Authority, Part
from std_test_kit.free_ports import free_tcp_port

RING_BYTES = 192 * 2**20
MIN_SLOTS = 16
PARTS_OF_RING = 4
LIMIT_S = 30.0
_LOOK_S = 0.0005


@dataclass(frozen=True, slots=True)
class Images:
    """What images there are: keys of the configuration.

    Parameters
    ----------
    name
        For the table.
    document
        What differs from detector to detector.
    """

    name: str
    document: dict[str, Any]

    @property
    def n_bytes(self) -> int:
        """Bytes of an image: its pixels are u2."""
        return 2 * int(self.document["image_pixel_height"]) * int(self.document["image_pixel_width"])


class TwoServers:
    """One ring, the services between, and the other ring.

    Parameters
    ----------
    images
        What is sent.
    folder, shm
        Where configurations and sockets lie, and where the rings do.
    has_tls
        Whether what is sent is encrypted.

    Attributes
    ----------
    near, far
        The rings.
    """

    def __init__(self, images: Images, folder: Path, shm: Path, *, has_tls: bool = False) -> None:
        self._n_slots = max(MIN_SLOTS, RING_BYTES // images.n_bytes)
        near, far = (load_config(file) for file in self._write(images, folder, shm, has_tls=has_tls))
        self.near, _ = ImageBuffer.create(
            image_buffer_path(near),
            shape=near.image_shape,
            dtype=np.dtype("u2"),
            n_modules=near.n_modules,
            buffer_bytes=0,
            n_slots=self._n_slots,
        )
        self.near.data[:] = np.random.default_rng(0).integers(0, 256, self.near.data.shape, np.uint8)
        make_runtime_dir(near)
        self._bell = DoorbellPublisher(images_address(near))
        self._metadata = np.zeros(1, IMAGE_METADATA)
        self._metadata["height"], self._metadata["width"] = self.near.shape
        self._metadata["dtype"] = dtype_code(self.near.dtype)
        self._started = [
            subprocess.Popen([sys.executable, "-m", module, "--config", str(folder / file), "--log-level", "error"])
            for module, file in (("std_stream_send", "near.json"), ("std_stream_recv", "far.json"))
        ]
        self._processes = [psutil.Process(process.pid) for process in self._started]
        try:
            self.far = _wait_for(lambda: _attach(image_buffer_path(far)))
        except TimeoutError:
            self._end_processes()
            raise

    @property
    def cpu_seconds(self) -> tuple[float, float]:
        """CPU time that sender and receiver have used so far."""
        sender, receiver = (sum(process.cpu_times()[:2]) for process in self._processes)
        return sender, receiver

    def replicate(self, n_images: int) -> float:
        """Publish images, other ones than before, and return after how many seconds all are published on the far side.

        Raises
        ------
        AssertionError
            When the far ring does not hold what the near one does, or an image has been lost.
        """
        self.near.data[:] += 1
        first = self.near.journal.next_sequence
        n_ahead, batch = self._n_slots // 2, self._n_slots // PARTS_OF_RING
        began = time.perf_counter()
        while (n_come := self.far.journal.next_sequence - first) < n_images:
            n_published = self.near.journal.next_sequence - first
            n_more = min(n_images - n_published, n_come + n_ahead - n_published)
            if n_more >= min(batch, n_images - n_published) > 0:
                self._publish(n_more)
            else:
                time.sleep(_LOOK_S)
            if time.perf_counter() - began > LIMIT_S:
                raise TimeoutError(f"{n_come} of {n_images} images came over within {LIMIT_S} s")
        elapsed = time.perf_counter() - began
        self._check(first, n_images)
        return elapsed

    def close(self) -> None:
        """End the services, and remove the rings."""
        self._end_processes()
        self._bell.close()
        self.far.close()
        self.near.close()

    def _publish(self, n_images: int) -> None:
        """Publish images whose pixels are there already: what is measured begins when a ring has them."""
        near, metadata = self.near, self._metadata
        for sequence in range(near.journal.next_sequence, near.journal.next_sequence + n_images):
            metadata["id"] = metadata["frame_index"] = metadata["sequence"] = sequence
            slot = near.slot(sequence)
            near.begin(slot)
            near.headers["metadata"][slot] = metadata[0]
            near.end(slot)
            near.journal.append(metadata)
        self._bell.ring(metadata)

    def _check(self, first: int, n_images: int) -> None:
        entries = self.far.journal.read(first, n_images).entries
        if entries["id"].tolist() != list(range(first, first + n_images)) or entries["status"].any():
            raise AssertionError("images are missing")
        slots = np.arange(first, first + n_images)[-self._n_slots :] % self._n_slots
        if not all(np.array_equal(self.near.data[slot], self.far.data[slot]) for slot in slots):
            raise AssertionError("images differ")

    def _write(self, images: Images, folder: Path, shm: Path, *, has_tls: bool) -> list[Path]:
        """Write the configurations; returns their files, that of the sender first."""
        address = f"tcp://127.0.0.1:{free_tcp_port()}"
        sender: dict[str, Any] = {"address": address}
        receiver: dict[str, Any] = {"sources": [address], "name": "far"}
        folder.mkdir()
        if has_tls:
            authority = Authority(folder)
            authority.make()
            for side, name, part in ((sender, "127.0.0.1", Part.SERVER), (receiver, "far", Part.CLIENT)):
                cert_file, key_file = authority.issue(name, part, days=1)
                side["tls"] = {
                    "ca_file": str(folder / CA_FILE),
                    "cert_file": str(cert_file),
                    "key_file": str(key_file),
                }
        files = []
        for name, replication in (("near", {"send": [sender]}), ("far", {"receive": receiver})):
            (directory := shm / name).mkdir(parents=True)
            document = {
                "detector_name": "bench",
                **images.document,
                "start_udp_port": 50000,
                "shared_memory": {"directory": str(directory), "image_slots": self._n_slots},
                "runtime_dir": str(folder / name),
                "replication": replication,
            }
            files.append(folder / f"{name}.json")
            files[-1].write_text(json.dumps(document))
        return files

    def _end_processes(self) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LIMIT_S)


def _attach(path: Path) -> ImageBuffer | None:
    try:
        return ImageBuffer.attach(path)
    except SharedMemoryError:
        return None


def _wait_for(look: Callable[[], ImageBuffer | None]) -> ImageBuffer:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.02)
    raise TimeoutError(f"stream_recv has made no ring within {LIMIT_S} s")


def jungfrau_images(name: str, places: Sequence[tuple[int, int]]) -> Images:
    """Return images of JUNGFRAU modules, 512 x 1024 pixels each, with their upper left corners at (x, y)."""
    return Images(
        name,
        {
            "detector_type": "jungfrau",
            "n_modules": len(places),
            "bit_depth": 16,
            "image_pixel_height": max(y for _, y in places) + 512,
            "image_pixel_width": max(x for x, _ in places) + 1024,
            "module_positions": {i: [x, y, x + 1023, y + 511] for i, (x, y) in enumerate(places)},
        },
    )
