"""FrameSender: a detector whose settings need not be those of the configuration, and whose modules need not agree."""

import socket
import time
from collections.abc import Container
from types import TracebackType
from typing import Any, Self

import numpy as np

from std_daq.imaging.config import DetectorConfig
from std_daq.imaging.detectors.registry import open_detector

_GAP_S = 0.0002


class FrameSender:
    """Sends frames over loopback; a context manager.

    Parameters
    ----------
    config
        How the detector is set. It sends to the ports of this configuration.
    """

    def __init__(self, config: DetectorConfig) -> None:
        self._detector = open_detector(config)
        self._first_port = config.start_udp_port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._shape = self._detector.raw_frame_shape()
        self._dtype = next(self._detector.simulated_frames("counter", 0)).dtype

    def send(
        self,
        module: int,
        frame_number: int,
        *,
        pulse_id: int = 0,
        port: int | None = None,
        packets: Container[int] | None = None,
        n_bytes: int | None = None,
    ) -> None:
        """Send the packets of a frame, of pixels that depend on module and frame number.

        Parameters
        ----------
        module, frame_number, pulse_id
            Stand in the headers.
        port
            Index of the port; by default the module's own.
        packets
            Numbers of the packets that are sent; by default all.
        n_bytes
            Length to which each packet is cut.
        """
        raw: Any = np.full(self._shape, module * 100 + frame_number % 100, np.uint16).astype(self._dtype)
        frame = self._detector.packets(module, frame_number, raw, pulse_id=pulse_id, timestamp=frame_number)
        address = ("127.0.0.1", self._first_port + (frame.port if port is None else port))
        for number, (packet, length) in enumerate(zip(frame.packets, frame.lengths.tolist(), strict=True)):
            if packets is None or number in packets:
                self._socket.sendto(packet[: length if n_bytes is None else n_bytes].tobytes(), address)
            if number % 32 == 31:
                time.sleep(_GAP_S)  # the socket buffer of the receiver must not overflow

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
