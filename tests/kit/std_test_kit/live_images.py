"""A ring of images of a test, and a client of the console that looks at them."""

import json
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from websockets.sync.client import connect

from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, PROTOCOL_VERSION, ImageStatus, dtype_code
from std_web.live.protocol import decode_image

_PATIENCE_S = 20.0


class LiveRing:
    """An assembler without a detector, whose images have the time of now.

    Parameters
    ----------
    config
        The detector's.
    dtype
        Of the pixels.
    n_slots
        How many images there are in the ring.
    """

    def __init__(self, config: DetectorConfig, dtype: str = "u2", n_slots: int = 6) -> None:
        self.ring, _ = ImageBuffer.create(
            image_buffer_path(config),
            shape=config.image_shape,
            dtype=np.dtype(dtype),
            n_modules=config.n_modules,
            buffer_bytes=0,
            n_slots=n_slots,
        )
        self.ring.segment.lock(0, "the test")

    def publish(
        self,
        pixels: NDArray[Any] | int,
        *,
        missing_packets: dict[int, int] | None = None,
        missing_modules: tuple[int, ...] = (),
        assembled_ns: int | None = None,
        image_id: int | None = None,
    ) -> int:
        """Put an image into the ring; returns its sequence number.

        Parameters
        ----------
        pixels
            (height, width), or the one value of all.
        missing_packets, missing_modules
            Packets that a module lacks, and modules that lack all.
        assembled_ns
            When it was assembled; by default now.
        image_id
            Its id; by default its sequence number.
        """
        ring = self.ring
        sequence = ring.journal.next_sequence
        slot = ring.slot(sequence)
        now_ns = time.time_ns() if assembled_ns is None else assembled_ns
        metadata = np.zeros(1, IMAGE_METADATA)
        metadata["version"] = PROTOCOL_VERSION
        metadata["id"] = metadata["frame_index"] = sequence if image_id is None else image_id
        metadata["sequence"] = sequence
        metadata["height"], metadata["width"] = ring.shape
        metadata["dtype"] = dtype_code(ring.dtype)
        metadata["first_arrival_ns"] = metadata["last_arrival_ns"] = metadata["assembled_ns"] = now_ns
        metadata["n_missing_packets"] = sum((missing_packets or {}).values())
        if missing_packets:
            metadata["status"] |= np.uint16(ImageStatus.MISSING_PACKETS)
        if missing_modules:
            metadata["status"] |= np.uint16(ImageStatus.MISSING_MODULES)
        ring.begin(slot)
        ring.images[slot] = pixels
        ring.headers["metadata"][slot] = metadata[0]
        modules = ring.headers["modules"]
        modules["missing_packets"][slot] = [(missing_packets or {}).get(module, 0) for module in range(ring.n_modules)]
        modules["status"][slot] = [
            int(ImageStatus.MISSING_MODULES) if module in missing_modules else 0 for module in range(ring.n_modules)
        ]
        ring.end(slot)
        ring.journal.append(metadata)
        return int(sequence)

    def close(self) -> None:
        """Remove the ring."""
        self.ring.segment.remove()
        self.ring.close()


class LiveClient:
    """A browser's side of the WebSocket of live images.

    Parameters
    ----------
    url
        URL of the console.
    detector
        Name of the detector.
    """

    def __init__(self, url: str, detector: str, **options: Any) -> None:
        address = f"{url.replace('http', 'ws', 1)}/api/v1/detectors/{detector}/live"
        self._stack = ExitStack()
        self.socket = self._stack.enter_context(
            connect(address, max_size=None, compression=None, proxy=None, **options)
        )
        self.states: list[dict[str, Any]] = []
        self.rings: list[dict[str, Any]] = []
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        self._stack.close()

    def say(self, **message: Any) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def view(self, **view: Any) -> None:
        """Say what the window shows."""
        self.say(type="view", **view)

    def next(self, timeout_s: float = _PATIENCE_S) -> tuple[dict[str, Any], NDArray[Any], NDArray[np.uint8]]:
        """Ask for an image, and return its header, values and flags."""
        self.say(type="next")
        return self.image(timeout_s)

    def image(self, timeout_s: float = _PATIENCE_S) -> tuple[dict[str, Any], NDArray[Any], NDArray[np.uint8]]:
        """Return the next image that comes."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self.socket.recv(max(0.0, deadline - time.monotonic()))
            if isinstance(message, bytes):
                return decode_image(message)
            self._note(message)

    def listen(self, seconds: float) -> list[bytes]:
        """Take what comes for some time; returns the images."""
        images = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.socket.recv(left)
            except TimeoutError:
                break
            if isinstance(message, bytes):
                images.append(message)
            else:
                self._note(message)
        return images

    def wait_for_state(self, word: str, timeout_s: float = _PATIENCE_S) -> dict[str, Any]:
        """Wait until a state is the last one that was told; returns it."""
        deadline = time.monotonic() + timeout_s
        while not self.states or self.states[-1]["word"] != word:
            message = self.socket.recv(max(0.0, deadline - time.monotonic()))
            if isinstance(message, str):
                self._note(message)
        return self.states[-1]

    def wait_for_error(self, timeout_s: float = _PATIENCE_S) -> str:
        """Wait for an error that was not returned yet."""
        deadline = time.monotonic() + timeout_s
        while not self.errors:
            message = self.socket.recv(max(0.0, deadline - time.monotonic()))
            if isinstance(message, str):
                self._note(message)
        return self.errors.pop(0)

    def _note(self, text: str) -> None:
        message = json.loads(text)
        if message["type"] == "state":
            self.states.append(message)
        elif message["type"] == "ring":
            self.rings.append(message["ring"])
        else:
            self.errors.append(message["detail"])


def write_file(folder: Path, name: str, content: bytes) -> Path:
    """Write a file that the console has sent."""
    file = folder / name
    file.write_bytes(content)
    return file
