"""CopyingReceiver: the reference in C, with a socket and a ring of its own."""

import ctypes
import mmap
import os
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from std_benchmarks import reference
from std_benchmarks.receiving.camera import ADDRESS, Frames, Sent
from std_benchmarks.receiving.kernel_drops import kernel_drops
from std_benchmarks.receiving.settling import is_reached
from std_daq.errors import PortError, ResourceError

BATCH = 64
"""Datagrams for a call of recvmmsg. From 16 to 512 it made no difference above 10 %, for 4 KB and 8 KB packets."""

_SO_RCVBUFFORCE = 33
_RECEIVE_TIMEOUT = struct.pack("ll", 0, 50_000)
_WITHOUT_END = 2**62


class CopyingReceiver:
    """Receives with receive.c, in a thread that is started for each turn.

    Parameters
    ----------
    frames
        What will come.
    ring
        File of the ring; made here. Its slots are as those of the FrameBuffer.
    n_slots
        Slots of the ring.
    buffer_bytes
        What to ask of the kernel for the socket.
    core
        CPU on which it receives; None for anywhere.
    batch
        Datagrams for a call of recvmmsg.

    Attributes
    ----------
    port
        The UDP port.
    granted_bytes
        What the kernel has granted for the socket.
    batch
        Datagrams for a call of recvmmsg.
    """

    def __init__(
        self,
        frames: Frames,
        ring: Path,
        *,
        n_slots: int,
        buffer_bytes: int,
        core: int | None = None,
        batch: int = BATCH,
    ) -> None:
        self._frames = frames
        self._n_slots = n_slots
        self._core = core
        self._socket = _receiving_socket(buffer_bytes)
        self.port: int = self._socket.getsockname()[1]
        self.granted_bytes = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        self.batch = batch
        slot_bytes = -(-frames.layout.frame_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        # Writing zeros touches all pages, so that no first touch is timed.
        ring.write_bytes(bytes(n_slots * slot_bytes))
        self._ring = np.memmap(ring, np.uint8, "r+", shape=(n_slots, slot_bytes))
        self._ring[:] = 0
        self._library = _library()
        self._receiver = self._library.receiver_open(
            self._socket.fileno(),
            self._ring.ctypes.data,
            n_slots,
            slot_bytes,
            frames.layout.header_bytes,
            frames.layout.unit_bytes,
            batch,
        )
        if not self._receiver:
            raise ResourceError("there is no memory for the receiver in C")
        self._stop = ctypes.c_int32()
        self._n_received = ctypes.c_int64()
        self._cpu_s = 0.0
        self._failure = 0
        self._thread: threading.Thread | None = None

    @property
    def n_received(self) -> int:
        """Packets received since it was started."""
        return self._n_received.value

    @property
    def kernel_drops(self) -> int:
        """Packets that the kernel has dropped since the socket was made."""
        return kernel_drops(self.port)

    def start(self, n_packets: int = _WITHOUT_END) -> None:
        """Begin to receive, until so many packets have come or it is told to stop."""
        self._stop.value = 0
        self._n_received.value = 0
        self._thread = threading.Thread(target=self._run, args=(n_packets,), name="copying-receiver")
        self._thread.start()

    def wait_for(self, n_packets: int) -> bool:
        """Wait until so many packets have come since it was started; returns whether, within a second."""
        return is_reached(lambda: self.n_received >= n_packets)

    def finish(self, *, stop: bool = True) -> float:
        """Wait for the end of a turn, or end it; returns the CPU seconds of the thread."""
        if self._thread is None:
            raise ValueError("it was not started")
        self._stop.value = stop
        self._thread.join()
        if self._failure:
            raise PortError(f"the receiver in C has failed: {os.strerror(self._failure)}")
        return self._cpu_s

    def begin(self) -> None:
        """Begin a trial."""
        self.start()

    def end(self, sent: Sent) -> bool:
        """End a trial; returns whether all packets have come, and raises AssertionError if they are not right."""
        has_all = self.wait_for(sent.n_frames * self._frames.packets_per_frame)
        self.finish()
        if has_all and not self.is_right(sent):
            raise AssertionError("the receiver in C has all packets, but not as they were sent")
        return has_all

    def is_right(self, sent: Sent) -> bool:
        """Tell whether the ring holds the last frames that were sent, every byte."""
        frames = range(max(sent.first, sent.first + sent.n_frames - self._n_slots), sent.first + sent.n_frames)
        n_bytes = self._frames.layout.frame_bytes
        return all(
            np.array_equal(self._ring[frame % self._n_slots, :n_bytes], self._frames.expected(frame))
            for frame in frames
        )

    def close(self) -> None:
        """Let go of socket and ring; it must not be receiving."""
        self._library.receiver_close(self._receiver)
        self._socket.close()
        del self._ring

    def _run(self, n_packets: int) -> None:
        if self._core is not None:
            os.sched_setaffinity(0, {self._core})
        started = time.thread_time()
        self._failure = self._library.receiver_run(
            self._receiver, n_packets, ctypes.byref(self._stop), ctypes.byref(self._n_received)
        )
        self._cpu_s = time.thread_time() - started


def _library() -> ctypes.CDLL:
    library = reference.load("receive")
    pointer, u64, u32 = reference.POINTER, ctypes.c_uint64, ctypes.c_uint32
    library.receiver_open.restype = pointer
    library.receiver_open.argtypes = (ctypes.c_int, pointer, u64, u64, u32, u32, u32)
    library.receiver_run.restype = ctypes.c_int
    library.receiver_run.argtypes = (pointer, ctypes.c_int64, pointer, pointer)
    library.receiver_close.restype = None
    library.receiver_close.argtypes = (pointer,)
    return library


def _receiving_socket(buffer_bytes: int) -> socket.socket:
    """Return a bound socket as the service's: with as large a buffer as is granted, and a timeout to look at `stop`."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    with suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _RECEIVE_TIMEOUT)
    sock.bind((ADDRESS, 0))
    return sock
