"""Wire: carries Ethernet frames between two interfaces, late, not all of them, or none.

It does what the kernel's netem does, in any kernel, and with a seed. Frames come with the offload header of the
kernel (PACKET_VNET_HDR), so TCP hands over segments of up to 64 KB as it does to a network card, and a thread in
Python carries some hundred MB/s.
"""

import errno
import heapq
import itertools
import os
import random
import select
import socket
import threading
import time
from collections.abc import Iterator

SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3
MAX_FRAME_BYTES = 128 * 1024
BUFFER_BYTES = 16 * 2**20


class Wire:
    """A thread that carries frames both ways until it is closed.

    Made in the network namespace of both interfaces. What it does to frames can be changed at any time.

    Parameters
    ----------
    first, second
        Names of the interfaces.
    seed
        Of which frames are lost.

    Attributes
    ----------
    delay_s
        Time that a frame takes.
    loss
        Part of the frames that vanish, 0 to 1.
    bytes_per_s
        The most that each direction carries; what comes when a second's worth waits is lost. None is no limit.
    is_cut
        Whether all frames vanish, those on their way included; neither end is told.
    n_carried, n_lost
        Frames.
    """

    def __init__(self, first: str, second: str, *, seed: int = 0) -> None:
        self.delay_s = 0.0
        self.loss = 0.0
        self.bytes_per_s: float | None = None
        self.is_cut = False
        self.n_carried = 0
        self.n_lost = 0
        self._random = random.Random(seed)
        one, two = self._ends = _open_end(first), _open_end(second)
        self._other = {one: two, two: one}
        self._free_at = dict.fromkeys(self._ends, 0.0)
        self._order = itertools.count()
        self._on_way: list[tuple[float, int, socket.socket, bytes]] = []
        self._closing, self._close = os.pipe()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; frames on their way are lost."""
        os.close(self._close)
        self._thread.join()
        os.close(self._closing)
        for end in self._ends:
            end.close()

    def _run(self) -> None:
        poll = select.poll()
        by_fd = {end.fileno(): end for end in self._ends}
        for fd in (*by_fd, self._closing):
            poll.register(fd, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll(self._wait_ms())]
            if self._closing in ready:
                return
            for fd in ready:
                for frame in _frames_of(by_fd[fd]):
                    self._forward_or_drop(by_fd[fd], frame)
            self._deliver()

    def _wait_ms(self) -> float | None:
        if not self._on_way:
            return None
        return max(0.0, (self._on_way[0][0] - time.monotonic()) * 1e3)

    def _forward_or_drop(self, source: socket.socket, frame: bytes) -> None:
        """Let a frame vanish, or say when it arrives."""
        now = time.monotonic()
        starts = max(now, self._free_at[source])
        if self.is_cut or self._random.random() < self.loss or starts > now + 1.0:
            self.n_lost += 1
            return
        if self.bytes_per_s is not None:
            starts += len(frame) / self.bytes_per_s
        self._free_at[source] = starts
        heapq.heappush(self._on_way, (starts + self.delay_s, next(self._order), self._other[source], frame))

    def _deliver(self) -> None:
        if self.is_cut:
            self.n_lost += len(self._on_way)
            self._on_way.clear()
        now = time.monotonic()
        while self._on_way and self._on_way[0][0] <= now:
            _, _, sink, frame = heapq.heappop(self._on_way)
            try:
                sink.send(frame)
            except OSError:  # its interface is down, or its queue is full
                self.n_lost += 1
            else:
                self.n_carried += 1


def _open_end(interface: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        end.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    end.bind((interface, ETH_P_ALL))
    return end


def _frames_of(end: socket.socket) -> Iterator[bytes]:
    """Yield what has arrived; an interface that went down says so once."""
    while True:
        try:
            yield end.recv(MAX_FRAME_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENETDOWN:
                raise
