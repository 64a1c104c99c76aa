"""CPU time to drain a full UDP socket: the receiver, recvmmsg with a copy, a Python loop of recv_into.

All in one run, taking turns, because absolute figures differ from machine to machine and from hour to hour; the ratios
are what counts. Each turn fills a socket with whole frames and then drains it; only the draining thread's CPU time
counts. The copying reference is compiled by numba too: it receives into scratch and copies to the place that the packet
number gives, without any check. The receiver checks every header and keeps account besides.

    python benchmarks/bench_udp_drain.py [--payload-bytes 8192] [--frames 24] [--rounds 5] [--segments]
"""

import argparse
import json
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from std_daq.detectors.packet_layout import HeaderCheck, HeaderField, PacketLayout
from std_daq.shm.frame_buffer import FrameBuffer
from std_daq.simulation.sending import PacketSender
from std_udp_recv.kernels import _recvmmsg, make_wire, receive
from std_udp_recv.placing import kernels as k
from std_udp_recv.placing.port import make_port
from std_udp_recv.udp_socket import UdpSocket

HEADER_BYTES = 48
N_UNITS = 128
N_SLOTS = 64
BUFFER_BYTES = 512 * 2**20
DEADLINE_S = 30.0


def layout(payload_bytes: int) -> PacketLayout:
    return PacketLayout(
        header_bytes=HEADER_BYTES,
        unit_bytes=payload_bytes,
        n_units=N_UNITS,
        units_per_packet=1,
        max_units_per_packet=1,
        key=HeaderField(0, 8),
        unit=HeaderField(12, 4),
        checks=(
            HeaderCheck(HeaderField(46, 1), 3, "foreign_detector"),
            HeaderCheck(HeaderField(47, 1), 2, "foreign_version"),
        ),
        identity=HeaderField(32, 2),
    )


def make_packets(payload_bytes: int, first_key: int, n_frames: int) -> np.ndarray:
    packets = np.full((n_frames * N_UNITS, HEADER_BYTES + payload_bytes), 7, np.uint8)
    packets[:, :HEADER_BYTES] = 0
    packets[:, 0:8] = (first_key + np.repeat(np.arange(n_frames), N_UNITS)).astype("<u8")[:, None].view(np.uint8)
    packets[:, 12:16] = np.tile(np.arange(N_UNITS), n_frames).astype("<u4")[:, None].view(np.uint8)
    packets[:, 46], packets[:, 47] = 3, 2
    return packets


@njit(nogil=True)
def drain_and_copy(fd: int, messages: np.ndarray, scratch: np.ndarray, ring: np.ndarray, n_packets: int) -> None:
    n_bytes = ring.shape[1]
    n = 0
    while n < n_packets:
        got = np.int64(_recvmmsg(np.int32(fd), messages.ctypes.data, np.uint32(len(messages)), np.int32(0x10000), 0))
        for row in range(got):
            unit = np.int64(scratch[row, 12]) | np.int64(scratch[row, 13]) << 8
            slot = (np.int64(scratch[row, 0]) | np.int64(scratch[row, 1]) << 8) % N_SLOTS
            ring[slot * N_UNITS + unit] = scratch[row, HEADER_BYTES : HEADER_BYTES + n_bytes]
        n += got


class Drains:
    """The ways to drain, over one socket and one ring."""

    def __init__(self, directory: Path, payload_bytes: int) -> None:
        self.socket = UdpSocket("127.0.0.1", 0, BUFFER_BYTES)
        self.sender_port = self.socket.port
        self._layout = layout(payload_bytes)
        self.ring, _ = FrameBuffer.create(
            directory / "bench",
            n_modules=1,
            frame_bytes=self._layout.frame_bytes,
            n_units=N_UNITS,
            buffer_bytes=0,
            n_slots=N_SLOTS,
        )
        self.port = make_port(self._layout, self.ring, 0, window_frames=4, key_step=1, epoch=1)
        self._stop = np.ones(1, np.uint64)
        self._wake_fd = os.eventfd(0)
        self._wire = make_wire(
            self._stop, socket=self.socket.fileno, wake_fd=self._wake_fd, idle_ns=10**12, budget_us=0
        )
        self._scratch = np.zeros((k.BATCH, HEADER_BYTES + payload_bytes), np.uint8)
        self._iovecs = np.zeros((k.BATCH, 2), np.uint64)
        self._iovecs[:, 0] = self._scratch.ctypes.data + np.arange(k.BATCH) * self._scratch.shape[1]
        self._iovecs[:, 1] = self._scratch.shape[1]
        self._messages = np.zeros((k.BATCH, 8), np.uint64)
        self._messages[:, 2] = self._iovecs.ctypes.data + np.arange(k.BATCH) * 16
        self._messages[:, 3] = 1
        self._place = self.ring.data.reshape(N_SLOTS * N_UNITS, payload_bytes)
        receive(self.port, self._wire)  # compiles
        drain_and_copy(-1, self._messages, self._scratch, self._place, 0)

    def receiver(self, n_packets: int) -> None:
        self._stop[0] = 0
        goal = int(self.port.counters[k.RECEIVED]) + n_packets

        def stop_when_done() -> None:
            deadline = time.monotonic() + DEADLINE_S
            while self.port.counters[k.RECEIVED] < goal and time.monotonic() < deadline:
                time.sleep(0.001)
            self._stop[0] = 1

        watcher = threading.Thread(target=stop_when_done)
        watcher.start()
        receive(self.port, self._wire)
        watcher.join()
        if self.port.counters[k.PLACED] != self.port.counters[k.RECEIVED]:
            raise SystemExit(f"not all were placed: {self.port.counters}")

    def recvmmsg_and_copy(self, n_packets: int) -> None:
        drain_and_copy(self.socket.fileno, self._messages, self._scratch, self._place, n_packets)

    def python_recv_into(self, n_packets: int) -> None:
        view = memoryview(self._scratch[0])
        with socket.socket(fileno=os.dup(self.socket.fileno)) as plain:
            plain.setblocking(True)
            for _ in range(n_packets):
                plain.recv_into(view)
                unit = int.from_bytes(view[12:16], "little")
                slot = int.from_bytes(view[0:8], "little") % N_SLOTS
                self._place[slot * N_UNITS + unit] = self._scratch[0, HEADER_BYTES:]

    def close(self) -> None:
        self.socket.close()
        os.close(self._wake_fd)


def cpu_s_per_gb(drain: Callable[[int], Any], sender: PacketSender, packets: np.ndarray) -> float:
    for start in range(0, len(packets), N_UNITS):
        sender.send(packets[start : start + N_UNITS])
    started = time.thread_time()
    drain(len(packets))
    return (time.thread_time() - started) / (packets.size / 1e9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payload-bytes", type=int, default=8192)
    parser.add_argument("--frames", type=int, default=24, help="frames in the socket at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--segments", action="store_true", help="send with UDP_SEGMENT")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        drains = Drains(Path(directory), arguments.payload_bytes)
        sender = PacketSender("127.0.0.1", drains.sender_port, segments=arguments.segments)
        ways = (drains.receiver, drains.recvmmsg_and_copy, drains.python_recv_into)
        costs: dict[str, list[float]] = {way.__name__: [] for way in ways}
        for turn in range(arguments.rounds + 1):
            packets = make_packets(arguments.payload_bytes, 1000 + turn * arguments.frames, arguments.frames)
            for way in ways:
                cost = cpu_s_per_gb(way, sender, packets)
                if turn:  # the first one warms up
                    costs[way.__name__].append(cost)
        medians = {name: statistics.median(values) for name, values in costs.items()}
        result = {
            "cpu_s_per_gb": {name: round(value, 4) for name, value in medians.items()},
            "receiver_to": {name: round(medians["receiver"] / value, 3) for name, value in medians.items()},
            "kernel_drops": drains.socket.kernel_drops,
            "displaced": int(drains.port.counters[k.DISPLACED]),
            "placed": int(drains.port.counters[k.PLACED]),
        }
        print(json.dumps(result, indent=2))
        sender.close()
        drains.close()


if __name__ == "__main__":
    main()
