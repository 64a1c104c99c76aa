"""PortReceiver: the thread of one port, and what it tells the main thread."""

import os
import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import PortError
from std_daq.native.atomics import load_acquire, store_release
from std_daq.native.compiling import compiling
from std_daq.telemetry.logs import get_logger
from std_udp_recv.loop_kernels import make_loop_state, receive
from std_udp_recv.port import Port
from std_udp_recv.records import QUEUE_LENGTH, Record
from std_udp_recv.udp_socket import UdpSocket

# The kernel's buffer must not fill up while the loop waits for a fuller batch. So the wait is limited to the time in
# which a quarter of it fills at this rate, faster than any link of a single module.
_MAX_BYTES_PER_US = 5_000


class EndedFrame(NamedTuple):  # a frozen dataclass takes four times as long to make
    """A module's frame that is whole, or given up: fields as in the ModuleFrame."""

    key: int
    epoch: int
    id: int
    pulse_id: int
    daq_rec: int
    timestamp: int
    first_arrival_ns: int
    last_arrival_ns: int
    n_missing_packets: int


class PortReceiver:
    """Receives on one port, in a thread of its own, until it is stopped.

    Parameters
    ----------
    port
        State of the port.
    index
        Which of the detector's ports it is, from 0 on.
    module
        Module whose frames arrive here.
    udp_socket
        Where they arrive.
    wake_fd
        An eventfd, written when frames have ended.
    idle_flush_s, latency_budget_us
        See the configuration.
    cpu
        Where the thread runs; None for anywhere.
    """

    def __init__(
        self,
        port: Port,
        index: int,
        module: int,
        udp_socket: UdpSocket,
        *,
        wake_fd: int,
        idle_flush_s: float,
        latency_budget_us: int,
        cpu: int | None,
    ) -> None:
        self.port = port
        self.index = index
        self.module = module
        self.socket = udp_socket
        self.failure = 0
        self._cpu = cpu
        self._drops = 0
        self._drops_word = 0
        # As plain numbers these are read several times as fast as records are.
        self._queue: NDArray[np.int64] = port.queue.view(np.int64, np.ndarray).reshape(QUEUE_LENGTH, -1)
        self._stop = np.zeros(1, np.uint64)
        self._loop = make_loop_state(
            self._stop,
            socket=udp_socket.fileno,
            wake_fd=wake_fd,
            idle_ns=int(idle_flush_s * 1e9),
            budget_us=min(latency_budget_us, udp_socket.granted_bytes // 4 // _MAX_BYTES_PER_US),
        )
        self._thread = threading.Thread(target=self._run, name=f"udp-{udp_socket.port}", daemon=True)

    def start(self) -> None:
        """Begin to receive."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread receives."""
        return self._thread.is_alive()

    def check(self) -> None:
        """Raise PortError if the socket has failed, or the thread has ended without being told to."""
        if self.failure:
            raise PortError(f"UDP port {self.socket.port} has failed: {os.strerror(self.failure)}")
        if not self._thread.is_alive():
            raise PortError(f"UDP port {self.socket.port}: the thread that receives has ended")

    def read_ended(self) -> list[EndedFrame]:
        """Return the frames that have ended since the last call, in the order in which they did."""
        port = self.port
        first, end = int(port.n_dequeued[0]), int(load_acquire(port.n_queued, 0))
        if first == end:
            return []
        start = first % QUEUE_LENGTH
        stop = start + end - first
        ended = self._queue[start:stop].tolist()
        if stop > QUEUE_LENGTH:
            ended += self._queue[: stop - QUEUE_LENGTH].tolist()
        store_release(port.n_dequeued, 0, end)
        return [EndedFrame._make(values) for values in ended]

    @property
    def counters(self) -> Record:
        """What was counted so far, a `COUNTERS`."""
        return self.port.counters

    def kernel_drops(self) -> int:
        """Return the packets that the kernel has dropped on this port. Not from several threads at once."""
        word = self.socket.kernel_drops
        self._drops += (word - self._drops_word) % 2**32
        self._drops_word = word
        return self._drops

    def request_stop(self) -> None:
        """Tell the thread to end its frames and itself, within 0.1 s."""
        store_release(self._stop, 0, 1)

    def join(self) -> None:
        """Wait for the thread to end."""
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """Release the port and the ring; the thread must have ended."""
        self.socket.close()
        del self.port, self._queue

    def _run(self) -> None:
        log = get_logger()
        try:
            if self._cpu is not None:
                os.sched_setaffinity(0, {self._cpu})
            self.failure = receive(self.port, self._loop)
        except Exception:
            log.exception("receiving_ended", udp_port=self.socket.port)


def compile_receiver(port: Port) -> None:
    """Compile the loop, or load it from the cache, so that no packet has to wait for it."""
    stopped = np.ones(1, np.uint64)
    wake_fd = os.eventfd(0, os.EFD_CLOEXEC)
    with compiling("std_udp_recv.receive"):
        receive(port, make_loop_state(stopped, socket=-1, wake_fd=wake_fd, idle_ns=0, budget_us=0))
    os.close(wake_fd)
