"""Camera: a detector of one module whose packets leave from one core, as fast as wanted."""

import ctypes
import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from std_benchmarks import reference
from std_daq.errors import PortError
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.packet_layout import PacketLayout
from std_daq.imaging.detectors.registry import open_detector

ADDRESS = "127.0.0.1"

JUNGFRAU: dict[str, Any] = {
    "detector_name": "bench-jungfrau",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 1,
    "module_positions": {"0": [0, 0, 1023, 511]},
}
"""One module: 128 packets of 48 + 8192 bytes a frame."""

EIGER: dict[str, Any] = JUNGFRAU | {
    "detector_name": "bench-eiger",
    "detector_type": "eiger",
    "image_pixel_height": 256,
    "image_pixel_width": 514,
    "module_positions": {"0": [0, 0, 513, 255]},
}
"""One quarter of a module: 64 packets of 48 + 4096 bytes a frame."""

# An odd number of slots in a ring lets each slot see both, so that nothing left from before passes for new.
_N_TEMPLATES = 2
_MAX_MESSAGE_BYTES = 65507
_STAMP_BYTES = 8
_STAMP_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # as in send.c
_SEND_BUFFER_BYTES = 4 << 20


class _Sending(ctypes.Structure):
    """``struct sending`` of send.c."""

    _fields_ = (
        ("packets", ctypes.c_void_p),
        ("n_templates", ctypes.c_int64),
        ("packets_per_frame", ctypes.c_int64),
        ("packet_bytes", ctypes.c_int64),
        ("header_bytes", ctypes.c_int64),
        ("packets_per_message", ctypes.c_int64),
        ("packets_per_burst", ctypes.c_int64),
        ("frame_period_ns", ctypes.c_int64),
        ("fd", ctypes.c_int64),
    )


class Frames:
    """The frames of a simulated detector: what is sent, and what has to be received.

    Parameters
    ----------
    document
        Its configuration, of one module.

    Attributes
    ----------
    document, config, layout
        The configuration, as it was given and as it is read, and the layout of the packets.
    packets
        Templates, (n_templates, packets_per_frame, packet_bytes); the sender stamps them anew for each frame.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.config: DetectorConfig = parse_config(document)
        detector = open_detector(self.config)
        self.layout: PacketLayout = detector.packet_layout(0)
        rng = np.random.default_rng(1)
        self.packets = np.stack(
            [
                detector.packets(
                    0,
                    0,
                    rng.integers(0, 2**16, detector.raw_frame_shape()).astype(np.uint16),
                    pulse_id=1,
                    timestamp=0,
                ).packets
                for _ in range(_N_TEMPLATES)
            ]
        )
        self.packets_per_frame: int = self.packets.shape[1]
        self.packet_bytes: int = self.packets.shape[2]

    @property
    def bytes_per_frame(self) -> int:
        """Bytes of all packets of a frame, with their headers."""
        return self.packets_per_frame * self.packet_bytes

    def expected(self, frame_number: int) -> NDArray[np.uint8]:
        """Return the bytes of a frame as they have to lie in the ring, (frame_bytes,)."""
        pixels = self.packets[frame_number % _N_TEMPLATES, :, self.layout.header_bytes :].copy()
        with np.errstate(over="ignore"):
            stamps = np.uint64(frame_number) * _STAMP_FACTOR + np.arange(self.packets_per_frame, dtype=np.uint64)
        pixels[:, :_STAMP_BYTES] = stamps.astype("<u8")[:, None].view(np.uint8)
        return pixels.reshape(-1)


@dataclass(frozen=True, slots=True)
class Sent:
    """What has been sent.

    Attributes
    ----------
    first, n_frames
        The frames.
    n_bytes
        Bytes of their packets, with headers.
    seconds
        How long it took.
    sent_ns
        When the last packet of each frame had been handed to the kernel (CLOCK_MONOTONIC), (n_frames,).
    """

    first: int
    n_frames: int
    n_bytes: int
    seconds: float
    sent_ns: NDArray[np.int64]

    @property
    def bytes_per_s(self) -> float:
        """The rate that was reached."""
        return self.n_bytes / self.seconds


class Camera:
    """Sends frames to one port, in C (send.c); frame numbers go on from call to call.

    Parameters
    ----------
    frames
        What to send.
    port
        Where to, on this machine.
    segments
        Whether packets leave as segments of larger messages (``UDP_SEGMENT``), or each by itself.
    packets_per_burst
        Packets that leave in a row when a rate is kept; by default a frame's.
    core
        CPU on which it sends; None for anywhere.
    first_frame
        Number of the first frame.
    """

    def __init__(
        self,
        frames: Frames,
        port: int,
        *,
        segments: bool,
        packets_per_burst: int | None = None,
        core: int | None = None,
        first_frame: int = 1,
    ) -> None:
        self._send = reference.load("send").send_frames
        self._send.restype = ctypes.c_int64
        self._frames = frames
        self._core = core
        self._stop = ctypes.c_int32()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._socket.connect((ADDRESS, port))
        self._sending = _Sending(
            packets=frames.packets.ctypes.data,
            n_templates=len(frames.packets),
            packets_per_frame=frames.packets_per_frame,
            packet_bytes=frames.packet_bytes,
            header_bytes=frames.layout.header_bytes,
            packets_per_message=_MAX_MESSAGE_BYTES // frames.packet_bytes if segments else 1,
            packets_per_burst=packets_per_burst or frames.packets_per_frame,
            fd=self._socket.fileno(),
        )
        self._next_frame = first_frame

    def send(self, n_frames: int, bytes_per_s: float | None = None) -> Sent:
        """Send frames, at a rate or as fast as it goes; fewer if it is stopped meanwhile.

        Raises
        ------
        PortError
            When the kernel refuses.
        """
        self._stop.value = 0
        self._sending.frame_period_ns = round(self._frames.bytes_per_frame / bytes_per_s * 1e9) if bytes_per_s else 0
        sent_ns = np.zeros(n_frames, np.int64)
        outcome: list[int] = []

        def run() -> None:
            if self._core is not None:
                os.sched_setaffinity(0, {self._core})
            outcome.append(
                self._send(
                    ctypes.byref(self._sending),
                    ctypes.c_uint64(self._next_frame),
                    ctypes.c_int64(n_frames),
                    ctypes.byref(self._stop),
                    ctypes.c_void_p(sent_ns.ctypes.data),
                )
            )

        # A thread of its own: where it runs and how exactly it sleeps is set for threads.
        thread = threading.Thread(target=run, name="camera")
        started = time.monotonic()
        thread.start()
        thread.join()
        seconds = time.monotonic() - started
        if outcome[0] < 0:
            raise PortError(f"the benchmark cannot send to {ADDRESS}: {os.strerror(-outcome[0])}")
        first, self._next_frame = self._next_frame, self._next_frame + outcome[0]
        n_bytes = outcome[0] * self._frames.bytes_per_frame
        return Sent(first, outcome[0], n_bytes, seconds, sent_ns[: outcome[0]])

    def stop(self) -> None:
        """End the `send` that runs in another thread, at the next frame."""
        self._stop.value = 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
