"""PortDrain: one port of the service, receiving from a socket that was full before it began."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from std_benchmarks.receiving.camera import ADDRESS, Frames, Sent
from std_benchmarks.receiving.cpu_time import started_by, thread_s
from std_daq.errors import ResourceError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.packets.udp_place import UdpPlace
from std_udp_recv.port import make_port
from std_udp_recv.port_receiver import PortReceiver, compile_receiver
from std_udp_recv.udp_socket import UdpSocket

_DEADLINE_S = 30.0
_POLL_S = 0.001
_PAUSE_S = 0.02


class PortDrain:
    """The service's own socket, port and thread; `open` makes new ones for each turn.

    Parameters
    ----------
    frames
        What will come.
    ring
        File of the FrameBuffer; made here.
    n_slots
        Slots of the ring.
    buffer_bytes
        What to ask of the kernel for the socket.

    Attributes
    ----------
    receiver
        The one of this turn.
    """

    receiver: PortReceiver

    def __init__(self, frames: Frames, ring: Path, *, n_slots: int, buffer_bytes: int) -> None:
        self._frames = frames
        self._udp = frames.config.udp
        self._buffer_bytes = buffer_bytes
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoch = 0
        self._n_received = self._n_placed = 0
        layout = frames.layout
        self._ring, _ = FrameBuffer.create(
            ring, n_modules=1, frame_bytes=layout.frame_bytes, n_units=layout.n_units, buffer_bytes=0, n_slots=n_slots
        )

    def open(self) -> int:
        """Make a socket and what receives from it; returns the UDP port."""
        self._epoch += 1
        port = make_port(
            self._frames.layout, self._ring, 0, window_frames=self._udp.window_frames, key_step=1, epoch=self._epoch
        )
        if self._epoch == 1:
            compile_receiver(port)
        self.receiver = PortReceiver(
            port,
            0,
            0,
            UdpSocket(UdpPlace.of(ADDRESS), 0, self._buffer_bytes),
            wake_fd=self._wake_fd,
            idle_flush_s=self._udp.idle_flush_s,
            latency_budget_us=self._udp.latency_budget_us,
            cpu=None,
        )
        return self.receiver.socket.port

    def become_calm(self, send_some: Callable[[], Sent]) -> None:
        """Receive until the port is calm, so that from now on the kernel looks at the senders.

        Parameters
        ----------
        send_some
            Sends a few frames.
        """
        self.receiver.start()
        deadline = time.monotonic() + _DEADLINE_S
        n_packets = 0
        while self.receiver.is_asking or self.receiver.counters.received < n_packets:
            if time.monotonic() > deadline:
                raise ResourceError("the kernel does not look at the senders of this socket")
            if self.receiver.is_asking:
                n_packets += send_some().n_frames * self._frames.packets_per_frame
            time.sleep(_PAUSE_S)
            self.receiver.check()
            self.receiver.read_ended()
        self.receiver.request_stop()
        self.receiver.join()

    @property
    def is_filtered(self) -> bool:
        """Whether the kernel still looks at the senders."""
        return not self.receiver.is_asking

    def drain(self, n_packets: int) -> float:
        """Receive what waits in the socket; returns the CPU seconds of the thread."""
        self.receiver.read_ended()
        self._n_received, self._n_placed = int(self.receiver.counters.received), int(self.receiver.counters.placed)
        thread = started_by(self.receiver.start)
        deadline = time.monotonic() + _DEADLINE_S
        while self.receiver.counters.received - self._n_received < n_packets:
            self.receiver.check()
            if time.monotonic() > deadline:
                raise ResourceError(f"{self.receiver.counters.received} of {n_packets} packets came")
            time.sleep(_POLL_S)
        time.sleep(_POLL_S)  # they have been counted, and are placed by now
        cpu_s = thread_s(thread)
        self.receiver.request_stop()
        self.receiver.join()
        return cpu_s

    def is_right(self, sent: Sent) -> bool:
        """Tell whether all packets were placed, and the ring holds every byte of the frames, marked as whole."""
        n_packets = sent.n_frames * self._frames.packets_per_frame
        if (
            self.receiver.counters.placed - self._n_placed != n_packets
            or len(self.receiver.read_ended()) != sent.n_frames
        ):
            return False
        return all(self._holds(frame) for frame in range(sent.first, sent.first + sent.n_frames))

    def close_port(self) -> None:
        """Let go of the socket of this turn."""
        self.receiver.close()

    def close(self) -> None:
        """Let go of the ring."""
        del self.receiver
        self._ring.close()
        os.close(self._wake_fd)

    def _holds(self, frame: int) -> bool:
        index = self._ring.index(frame, 0)
        header = self._ring.headers[index]
        return (
            int(header["frame_index"]) == frame
            and int(header["n_missing_packets"]) == 0
            and self._ring.generation(index) % 2 == 0
            and np.array_equal(self._ring.frame(index), self._frames.expected(frame))
        )
