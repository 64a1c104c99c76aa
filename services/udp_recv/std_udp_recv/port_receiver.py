"""PortReceiver: the thread that receives on one port, and its results for the main thread."""

import os
import threading
import time
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import PortError
from std_daq.native.atomics import load_acquire, store_release
from std_daq.native.compiling import compiling
from std_daq.telemetry.logs import get_logger
from std_udp_recv.frame_kernels import is_near
from std_udp_recv.loop_kernels import make_loop_state, receive
from std_udp_recv.port import Port, address_of
from std_udp_recv.records import QUEUE_LENGTH, Record
from std_udp_recv.sender_filter import SenderFilter
from std_udp_recv.udp_socket import UdpSocket

# The kernel's buffer must not fill up while the loop sleeps. So a sleep is at most the time in which a quarter of the
# buffer fills up at this rate, which is higher than that of any module's link.
_MAX_BYTES_PER_US = 5_000


class EndedFrame(NamedTuple):  # a frozen dataclass takes four times as long to create
    """A frame of a module that has ended, whole or not; its fields are those of a ModuleFrame."""

    key: int
    epoch: int
    id: int
    pulse_id: int
    daq_rec: int
    timestamp: int
    first_arrival_ns: int
    last_arrival_ns: int
    n_missing_packets: int
    n_refused_packets: int


class PortReceiver:
    """Receives on one port, in a thread of its own, until it is stopped.

    Parameters
    ----------
    port
        State of the port.
    index
        Index of the port among the detector's ports, counted from 0.
    module
        Module whose frames arrive on this port.
    udp_socket
        Socket of the port.
    wake_fd
        Descriptor of an eventfd that is written when frames have ended.
    idle_flush_s, latency_budget_us
        As in the configuration.
    cpu
        CPU on which the thread runs; None for any.
    senders
        Configured senders, as those of the port; by default they are learned.
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
        senders: Sequence[IPv4Network | IPv6Network] = (),
    ) -> None:
        self.port = port
        self.index = index
        self.module = module
        self.socket = udp_socket
        self.failure = 0
        self._cpu = cpu
        self._drops = 0
        self._drops_word = 0
        self._drops_lock = threading.Lock()
        # Plain numbers are read several times as fast as records.
        self._queue: NDArray[np.int64] = port.queue.view(np.int64, np.ndarray).reshape(QUEUE_LENGTH, -1)
        self._stop = np.zeros(1, np.uint64)
        self._loop = make_loop_state(
            self._stop,
            socket=udp_socket.fileno,
            wake_fd=wake_fd,
            idle_ns=int(idle_flush_s * 1e9),
            budget_us=min(latency_budget_us, udp_socket.granted_bytes // 4 // _MAX_BYTES_PER_US),
        )
        self._filter = SenderFilter(port, self._loop.inbox.flow, udp_socket, senders)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to receive; after `join`, again."""
        store_release(self._stop, 0, 0)
        self._thread = threading.Thread(target=self._run, name=f"udp-{self.socket.port}", daemon=True)
        self._thread.start()

    @property
    def submodule(self) -> int:
        """Submodule whose frames arrive on this port."""
        return int(self.port.layout.module)

    @property
    def is_running(self) -> bool:
        """Whether the thread is receiving."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_asking(self) -> bool:
        """Whether the kernel is asked for the address of each message, because it does not filter by sender."""
        return bool(self._loop.inbox.flow.asks_names)

    def check(self) -> None:
        """Let the kernel filter by sender or not, as `SenderFilter` decides.

        Raises
        ------
        PortError
            The socket has failed, or the thread has ended without a request to stop.
        """
        if self.failure:
            raise PortError(f"UDP port {self.socket.port} has failed: {os.strerror(self.failure)}")
        if not self.is_running:
            raise PortError(f"UDP port {self.socket.port}: the receiving thread has ended")
        self._filter.update(time.monotonic())

    def read_ended(self) -> list[EndedFrame]:
        """Return the frames that have ended since the last call, in the order of their ends."""
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

    def has_refused(self, first_arrival_ns: int, last_arrival_ns: int) -> bool:
        """Return whether packets were refused that claim a frame of the module, near these times of arrival."""
        return bool(is_near(int(self.port.claims.at_ns.max()), first_arrival_ns, last_arrival_ns))

    @property
    def counters(self) -> Record:
        """Counters of the port since its start, a `COUNTERS`."""
        return self.port.counters

    def strangers(self) -> dict[str, int]:
        """Return the addresses of the first few strangers, and how many of their packets were refused."""
        return {address_of(self.port, sender): n for sender, n, _ in self.port.strangers.tolist() if n}

    def believed(self) -> list[str]:
        """Return the addresses from which frames are taken, as far as they were learned."""
        return [address_of(self.port, sender) for sender in self.port.believed[: int(self.port.state.n_believed)]]

    def kernel_drops(self) -> int:
        """Return how many packets the kernel has dropped on this port."""
        with self._drops_lock:
            word = self.socket.kernel_drops
            self._drops += (word - self._drops_word) % 2**32
            self._drops_word = word
            return self._drops

    def request_stop(self) -> None:
        """Tell the thread to end all its frames and to stop, which takes at most 0.1 s."""
        store_release(self._stop, 0, 1)

    def join(self) -> None:
        """Wait for the thread to end."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Release the socket and the ring; the thread must have ended."""
        self.socket.close()
        del self.port, self._queue, self._filter

    def _run(self) -> None:
        log = get_logger()
        try:
            if self._cpu is not None:
                os.sched_setaffinity(0, {self._cpu})
            self.failure = receive(self.port, self._loop)
        except Exception:
            log.exception("receiving_ended", udp_port=self.socket.port)


def compile_receiver(port: Port) -> None:
    """Compile the receive loop, or load it from the cache, so that no packet has to wait for the compiler."""
    stopped = np.ones(1, np.uint64)
    wake_fd = os.eventfd(0, os.EFD_CLOEXEC)
    with compiling("std_udp_recv.receive"):
        receive(port, make_loop_state(stopped, socket=-1, wake_fd=wake_fd, idle_ns=0, budget_us=0))
    os.close(wake_fd)
