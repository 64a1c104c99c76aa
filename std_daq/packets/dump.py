"""Writing received packets into capture files."""

import errno
import os
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from std_daq.errors import CaptureError, PortError
from std_daq.packets.captures import MAX_DATAGRAM_BYTES, CaptureWriter, capture_path
from std_daq.packets.lengths import count_lengths
from std_daq.packets.receive_buffer import ask_for_receive_buffer
from std_daq.packets.udp_place import UdpPlace

_BATCH = 64
_BATCHES_AT_ONCE = 32
_RECEIVE_BUFFER_BYTES = 64 << 20
# <asm-generic/socket.h>, <linux/sock_diag.h>: nine u32 values, the last of which counts the drops. Unlike SO_RXQ_OVFL,
# which is delivered with the next packet, it can be read when no packet follows.
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_I_DROPS = 8
_MESSAGE_LENGTH = 7  # word of struct mmsghdr, in its lower half


class DumpedPort:
    """One port of a dump: its socket, its file and its counts.

    The file is created with the first packet, so a port that receives nothing leaves no file.

    Attributes
    ----------
    port
        UDP port.
    path
        Path of the capture file.
    n_packets, n_bytes
        Packets written; bytes written, including the lengths of the records.
    n_dropped
        Packets that the kernel dropped since the port was opened, because the socket's buffer was full.
    lengths
        Packets written by their length in bytes.
    """

    def __init__(self, place: UdpPlace, port: int, directory: Path) -> None:
        from std_daq.packets import kernels

        self._receive_records = kernels.receive_records
        self._writer: CaptureWriter | None = None
        self._packets = np.empty((_BATCH, MAX_DATAGRAM_BYTES), np.uint8)
        self._records = np.empty(_BATCH * (kernels.LENGTH_BYTES + MAX_DATAGRAM_BYTES), np.uint8)
        self._messages = np.zeros((_BATCH, kernels.MESSAGE_WORDS), np.uint64)
        self._iovecs = np.zeros((_BATCH, kernels.IOVEC_WORDS), np.uint64)
        # The first call compiles the loop, or loads it, while packets would fill the buffer.
        self.socket = _bind(place, port, before_bind=lambda sock: self._receive(sock, _BATCH))
        self.port = int(self.socket.getsockname()[1])
        self.path = capture_path(directory, self.port)
        self.n_packets = 0
        self.n_bytes = 0
        self.n_dropped = 0
        self.lengths: Counter[int] = Counter()

    def drain(self, most: int) -> int:
        """Write the packets that wait in the socket, up to `most` and up to one batch; return how many.

        Raises
        ------
        CaptureError
            The file exists or cannot be written.
        PortError
            The socket cannot be read.
        """
        n, n_used, error = self._receive(self.socket, most)
        if error not in (0, errno.EAGAIN, errno.EINTR):
            raise PortError(f"cannot receive on port {self.port}: {os.strerror(error)}")
        if n:
            if self._writer is None:
                self._writer = CaptureWriter(self.path)
            self._writer.append_records(self._records[:n_used].data)
            self.n_packets += n
            self.n_bytes += n_used
            count_lengths(self.lengths, self._messages[:n, _MESSAGE_LENGTH].astype(np.uint32))
        self._count_drops()
        return n

    def _receive(self, sock: socket.socket, most: int) -> tuple[int, int, int]:
        n, n_used, error = self._receive_records(
            sock.fileno(), self._packets[:most], self._messages, self._iovecs, self._records
        )
        return int(n), int(n_used), int(error)

    def _count_drops(self) -> None:
        drops = _MEMINFO.unpack(self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[_I_DROPS]
        # the kernel's count has 32 bits and wraps around
        self.n_dropped += (drops - self.n_dropped) % 2**32

    def close(self) -> None:
        """Close the socket and the file."""
        if self.socket.fileno() >= 0:
            self._count_drops()
        self.socket.close()
        if self._writer is not None:
            self._writer.close()


class Dump:
    """Receiver of UDP packets that writes one capture file per port.

    Parameters
    ----------
    directory
        Folder of the files; created if it does not exist.
    place
        Address or multicast group on which to listen.
    ports
        UDP ports; for port 0 the system chooses a free port.
    max_packets
        The dump ends after this number of packets, of all ports together; None: no limit.
    duration_s
        The dump ends after this time, in seconds; None: no limit.
    progress
        Called with the dump after each step.
    clock
        Returns monotonic time in seconds.

    Attributes
    ----------
    ports
        Socket, file and counts of each port.

    Raises
    ------
    PortError
        An address or port is in use or not allowed.
    CaptureError
        A file exists already, or the directory cannot be created.
    """

    def __init__(
        self,
        directory: Path,
        *,
        place: UdpPlace,
        ports: Iterable[int],
        max_packets: int | None = None,
        duration_s: float | None = None,
        progress: Callable[["Dump"], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_packets = max_packets
        self._clock = clock
        self._ends_at = None if duration_s is None else clock() + duration_s
        self._progress = progress
        self.ports: list[DumpedPort] = []
        self._selector = selectors.DefaultSelector()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for port in ports:
                self._open(place, port, directory)
        except OSError as error:
            self.close()
            raise CaptureError(f"{directory}: cannot be created: {error.strerror}") from error
        except (CaptureError, PortError):
            self.close()
            raise

    def _open(self, place: UdpPlace, port: int, directory: Path) -> None:
        dumped = DumpedPort(place, port, directory)
        self.ports.append(dumped)
        if dumped.path.exists():
            raise CaptureError(f"{dumped.path}: exists already")
        self._selector.register(dumped.socket, selectors.EVENT_READ, dumped)

    @property
    def n_packets(self) -> int:
        """Number of packets written, of all ports together."""
        return sum(port.n_packets for port in self.ports)

    @property
    def n_dropped(self) -> int:
        """Number of packets that the kernel dropped, of all ports together."""
        return sum(port.n_dropped for port in self.ports)

    def step(self, timeout_s: float = 0.1) -> bool:
        """Wait for packets and write them; return whether the dump continues.

        Raises
        ------
        CaptureError
            A file cannot be written.
        """
        left = MAX_DATAGRAM_BYTES if self._max_packets is None else self._max_packets - self.n_packets
        if self._ends_at is not None:
            timeout_s = min(timeout_s, max(0.0, self._ends_at - self._clock()))
        for key, _ in self._selector.select(timeout_s) if left > 0 else ():
            left -= _drain_batches(key.data, left)
        if self._progress is not None:
            self._progress(self)
        return not self._is_over()

    def _is_over(self) -> bool:
        if self._max_packets is not None and self.n_packets >= self._max_packets:
            return True
        return self._ends_at is not None and self._clock() >= self._ends_at

    def run(self, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Step until the dump ends or `is_stopped` returns True; ``threading.Event.is_set`` can be passed for it."""
        while not is_stopped() and self.step():
            pass

    def close(self) -> None:
        """Close all sockets and files; if one file cannot be written, the others still are.

        Raises
        ------
        CaptureError
            The end of a file could not be written, for example because the disk is full.
        """
        self._selector.close()
        with ExitStack() as stack:
            for port in self.ports:
                stack.callback(port.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _drain_batches(port: DumpedPort, left: int) -> int:
    """Write what waits at a port, up to a limit and to a number of batches, so that other ports have their turn."""
    n_taken = 0
    for _ in range(_BATCHES_AT_ONCE):
        wanted = min(left - n_taken, _BATCH)
        n = port.drain(wanted) if wanted > 0 else 0
        n_taken += n
        if n < _BATCH:
            break
    return n_taken


def _bind(place: UdpPlace, port: int, before_bind: Callable[[socket.socket], object]) -> socket.socket:
    """Return a UDP socket bound to a port; `before_bind` is called with it when nothing can come yet."""
    sock = place.open_socket()
    try:
        ask_for_receive_buffer(sock, _RECEIVE_BUFFER_BYTES)
        before_bind(sock)
        place.bind(sock, port)
    except BaseException:
        sock.close()
        raise
    return sock
