"""Messages of several packets over real sockets: with UDP_GRO and without, segmenting senders, plain ones, and both."""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.detectors.packet_layout import HeaderField, PacketLayout
from std_daq.packets.sending import PacketSender
from std_daq.packets.udp_place import UdpPlace
from std_test_kit.wait import wait_until
from std_udp_recv.port import make_port
from std_udp_recv.port_receiver import EndedFrame, PortReceiver, compile_receiver
from std_udp_recv.udp_socket import UdpSocket

DEADLINE_S = 20.0
N_UNITS = 40
LAYOUT = PacketLayout(
    header_bytes=48,
    unit_bytes=4096,
    n_units=N_UNITS,
    units_per_packet=1,
    max_units_per_packet=1,
    key=HeaderField(0, 8),
    unit=HeaderField(8, 4),
)


def packets_of(key: int) -> np.ndarray:
    """Return the packets of a frame, each of which has other pixels."""
    packets = np.random.default_rng(key).integers(0, 256, (N_UNITS, 48 + 4096), dtype=np.uint8)
    for unit in range(N_UNITS):
        packets[unit, :48] = np.frombuffer(struct.pack("<QI36x", key, unit), np.uint8)
    return packets


class Rig:
    """One port, received on by a thread."""

    def __init__(self, path: Path, *, gro: bool) -> None:
        self.ring, _ = FrameBuffer.create(
            path, n_modules=1, frame_bytes=LAYOUT.frame_bytes, n_units=N_UNITS, buffer_bytes=0, n_slots=64
        )
        port = make_port(LAYOUT, self.ring, 0, window_frames=4, key_step=1, epoch=1)
        compile_receiver(port)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.socket = UdpSocket(UdpPlace.of("127.0.0.1"), 0, 4 * 2**20, gro=gro)
        self.receiver = PortReceiver(
            port, 0, 0, self.socket, wake_fd=self._wake_fd, idle_flush_s=0.1, latency_budget_us=200, cpu=None
        )
        self.receiver.start()
        self.ended: list[EndedFrame] = []

    def count(self, counter: str) -> int:
        return int(self.receiver.counters[counter])

    def wait_for_packets(self, n: int) -> None:
        self._wait(lambda: self.count("received") >= n)

    def wait_for_frames(self, n: int) -> None:
        def has_ended() -> bool:
            self.ended += self.receiver.read_ended()
            return len(self.ended) >= n

        self._wait(has_ended)

    def assert_frame(self, key: int) -> None:
        assert bytes(self.ring.frame(self.ring.index(key, 0))) == packets_of(key)[:, 48:].tobytes()

    def close(self) -> None:
        self.receiver.request_stop()
        self.receiver.join()
        self.receiver.close()
        os.close(self._wake_fd)
        self.ring.segment.remove()
        self.ring.close()

    def _wait(self, is_done: Callable[[], bool]) -> None:
        wait_until(is_done, DEADLINE_S, lambda: f"{self.receiver.counters}")


@pytest.fixture
def open_rig(shm_dir: Path) -> Iterator[Callable[[bool], Rig]]:
    rigs: list[Rig] = []

    def open_one(gro: bool) -> Rig:
        rigs.append(Rig(shm_dir / "gro-test", gro=gro))
        if gro and not rigs[-1].socket.is_gro:
            pytest.skip("this kernel has no UDP_GRO")
        return rigs[-1]

    yield open_one
    for rig in rigs:
        rig.close()


@pytest.mark.parametrize("gro", [True, False])
@pytest.mark.parametrize("senders", ["segmenting", "plain", "alternating", "mixed"])
def test_every_packet_is_placed_however_it_is_sent(open_rig, gro, senders):
    rig = open_rig(gro)
    port = rig.socket.port
    with PacketSender("127.0.0.1", port) as segmenting, PacketSender("127.0.0.1", port, segments=False) as plain:
        n_frames = 60
        for key in range(n_frames):
            packets = packets_of(key)
            if senders == "mixed":
                segmenting.send(packets[:17])
                plain.send(packets[17:25])
                segmenting.send(packets[25:])
            else:
                is_plain = senders == "plain" or (senders == "alternating" and key // 10 % 2)
                (plain if is_plain else segmenting).send(packets)
            rig.wait_for_packets(N_UNITS * (key - 3))
        rig.wait_for_frames(n_frames)
    assert [frame.n_missing_packets for frame in rig.ended] == [0] * n_frames
    for key in range(n_frames):
        rig.assert_frame(key)
    assert rig.count("placed") == rig.count("received") == n_frames * N_UNITS
    n_messages = rig.count("messages")
    assert (n_messages < n_frames * N_UNITS) == (gro and senders != "plain")


def test_sender_that_dies_within_a_frame_leaves_what_it_has_sent(open_rig):
    rig = open_rig(True)
    with PacketSender("127.0.0.1", rig.socket.port) as sender:
        sender.send(packets_of(0))
        sender.send(packets_of(1)[:23])
    rig.wait_for_frames(2)
    assert [frame.n_missing_packets for frame in rig.ended] == [0, N_UNITS - 23]
    rest = np.frombuffer(rig.ring.frame(rig.ring.index(1, 0)), np.uint8).reshape(N_UNITS, -1)
    assert (rest[:23] == packets_of(1)[:23, 48:]).all()
    assert not rest[23:].any()
    with PacketSender("127.0.0.1", rig.socket.port) as sender:
        sender.send(packets_of(2))
        rig.wait_for_frames(3)
    rig.assert_frame(2)


def test_small_buffer_takes_packets_one_by_one():
    small, large = (
        UdpSocket(UdpPlace.of("127.0.0.1"), 0, 65536),
        UdpSocket(UdpPlace.of("127.0.0.1"), 0, 4 * 2**20, gro=False),
    )
    assert not small.is_gro
    assert not large.is_gro
    small.close()
    large.close()
