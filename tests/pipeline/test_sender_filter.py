"""The kernel looks at senders while there is one; a stranger is counted and named, and a new sender is found."""

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import numpy as np
import pytest

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.detectors.packet_layout import HeaderField, PacketLayout
from std_daq.packets.sending import PacketSender
from std_daq.packets.udp_place import UdpPlace
from std_test_kit.wait import wait_until
from std_udp_recv import sender_filter
from std_udp_recv.port import make_port
from std_udp_recv.port_receiver import PortReceiver, compile_receiver
from std_udp_recv.records import FOREIGN_SENDER
from std_udp_recv.sender_program import sender_program
from std_udp_recv.udp_socket import UdpSocket

DEADLINE_S = 40.0
UDP_SEGMENT = 103  # <linux/udp.h>
DETECTOR, STRANGER = "127.0.0.1", "127.0.0.2"
N_UNITS = 8
LAYOUT = PacketLayout(
    header_bytes=48,
    unit_bytes=1024,
    n_units=N_UNITS,
    units_per_packet=1,
    max_units_per_packet=1,
    key=HeaderField(0, 8),
    unit=HeaderField(8, 4),
)


def packets_of(key: int) -> np.ndarray:
    """Return the packets of a frame."""
    packets = np.full((N_UNITS, 48 + 1024), key % 251, np.uint8)
    for unit in range(N_UNITS):
        packets[unit, :48] = np.frombuffer(struct.pack("<QI36x", key, unit), np.uint8)
    return packets


class Rig:
    """One port, received on by a thread, and two that send to it."""

    def __init__(self, path: Path, senders: list[str], *, gro: bool) -> None:
        networks = [ip_network(sender) for sender in senders]
        self.ring, _ = FrameBuffer.create(
            path, n_modules=1, frame_bytes=LAYOUT.frame_bytes, n_units=N_UNITS, buffer_bytes=0, n_slots=64
        )
        port = make_port(LAYOUT, self.ring, 0, window_frames=4, key_step=1, epoch=1, senders=networks)
        compile_receiver(port)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.socket = UdpSocket(UdpPlace.of(DETECTOR), 0, 4 * 2**20, gro=gro)
        self.receiver = PortReceiver(
            port,
            0,
            0,
            self.socket,
            wake_fd=self._wake_fd,
            idle_flush_s=3.0,
            latency_budget_us=200,
            cpu=None,
            senders=networks,
        )
        self.receiver.start()
        self._sockets = {address: _sending_from(address) for address in (DETECTOR, STRANGER)}
        self._next = 0

    def send(self, address: str, key: int) -> None:
        for packet in packets_of(key):
            self._sockets[address].sendto(packet.tobytes(), (DETECTOR, self.socket.port))

    def frame(self, address: str = DETECTOR, through: PacketSender | None = None) -> int:
        """Send the next frame, and let the receiver do what it does between frames; return its number."""
        self._next += 1
        if through is None:
            self.send(address, self._next)
        else:
            through.send(packets_of(self._next))
        self.receiver.check()
        self.receiver.read_ended()
        time.sleep(0.001)
        return self._next

    def send_until(self, is_done: Callable[[], bool], address: str = DETECTOR) -> None:
        def has_come() -> bool:
            self.frame(address)
            return is_done()

        wait_until(has_come, DEADLINE_S, lambda: f"{self.receiver.counters} {self.receiver.strangers()}")

    @property
    def n_foreign(self) -> int:
        return int(self.receiver.counters.rejected[FOREIGN_SENDER])

    def wait_for_placed(self, n: int) -> None:
        wait_until(lambda: self.receiver.counters.placed >= n, DEADLINE_S, lambda: f"{self.receiver.counters}")

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        self.receiver.request_stop()
        self.receiver.join()
        self.receiver.close()
        os.close(self._wake_fd)
        self.ring.segment.remove()
        self.ring.close()


def _sending_from(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    return sock


@contextmanager
def segmenting_from(address: str, port: int) -> Iterator[Callable[[np.ndarray], None]]:
    """Provide what hands the kernel all packets of a frame at once, from an address."""
    with _sending_from(address) as made:
        made.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 48 + 1024)
        yield lambda packets: made.sendto(packets.tobytes(), (DETECTOR, port)) and None


@pytest.fixture
def open_rig(shm_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []
    monkeypatch.setattr(sender_filter, "CALM_S", 0.3)
    monkeypatch.setattr(sender_filter, "MIN_PACKETS", 8)

    def open_one(*senders: str, gro: bool = True) -> Rig:
        rigs.append(Rig(shm_dir / "filter-test", list(senders), gro=gro))
        return rigs[-1]

    yield open_one
    for rig in rigs:
        rig.close()


@pytest.mark.parametrize("senders", [(), ("127.0.0.1/32",), ("10.0.0.0/8", "127.0.0.0/31")])
def test_stranger_is_counted_and_named_although_the_kernel_looks_at_senders(open_rig, senders):
    rig = open_rig(*senders)
    rig.send_until(lambda: not rig.receiver.is_asking)
    for _ in range(50):
        rig.frame()
    assert not rig.receiver.is_asking
    rig.send(STRANGER, 10**6)
    rig.send_until(lambda: rig.n_foreign > 0)
    wait_until(lambda: rig.receiver.is_asking, DEADLINE_S, lambda: "the addresses are not asked for")
    for _ in range(5):
        rig.frame()
    rig.send(STRANGER, 10**6)
    wait_until(lambda: rig.n_foreign == 2 * N_UNITS, DEADLINE_S, lambda: f"{rig.receiver.counters}")
    assert STRANGER in rig.receiver.strangers()
    rig.send_until(lambda: not rig.receiver.is_asking)
    n_frames = rig.frame()
    rig.wait_for_placed(n_frames * N_UNITS)
    counters = rig.receiver.counters
    assert counters.received == counters.placed + rig.n_foreign
    assert counters.placed == n_frames * N_UNITS
    assert counters.frames_incomplete == counters.restarts == 0
    assert np.unique(rig.ring.frame(rig.ring.index(n_frames, 0))).tolist() == [n_frames % 251]


@pytest.mark.long
def test_sender_that_replaces_another_is_found(open_rig):
    rig = open_rig()
    rig.send_until(lambda: not rig.receiver.is_asking)
    n_placed = int(rig.receiver.counters.placed)
    rig.send_until(lambda: rig.receiver.counters.placed > n_placed + 20 * N_UNITS, STRANGER)
    rig.send_until(lambda: not rig.receiver.is_asking, STRANGER)
    assert STRANGER in rig.receiver.believed()
    assert rig.receiver.counters.restarts == 0


@pytest.mark.long
def test_silence_ends_the_filter(open_rig):
    rig = open_rig()
    rig.send_until(lambda: not rig.receiver.is_asking)
    wait_until(lambda: rig.receiver.is_asking, DEADLINE_S, lambda: "the addresses are not asked for")


@pytest.mark.long
@pytest.mark.parametrize("gro", [True, False])
def test_sender_that_begins_to_segment_loses_nothing_and_a_stranger_that_segments_is_found(open_rig, gro):
    rig = open_rig(gro=gro)
    rig.send_until(lambda: not rig.receiver.is_asking)
    with PacketSender(DETECTOR, rig.socket.port) as segmenting:  # from the detector's address, another port
        for _ in range(20):
            rig.frame(through=segmenting)
    n_frames = rig.frame()
    rig.wait_for_placed(n_frames * N_UNITS)
    rig.send_until(lambda: not rig.receiver.is_asking)
    with segmenting_from(STRANGER, rig.socket.port) as stranger:
        stranger(packets_of(10**6))
        rig.send_until(lambda: rig.n_foreign > 0)
        wait_until(lambda: rig.receiver.is_asking, DEADLINE_S, lambda: "the addresses are not asked for")
        rig.receiver.check()  # removes the filter, which leaves one refused message of what came as one
        n_foreign = rig.n_foreign
        stranger(packets_of(10**6))
        wait_until(lambda: rig.n_foreign == n_foreign + N_UNITS, DEADLINE_S, lambda: f"{rig.receiver.counters}")
    assert STRANGER in rig.receiver.strangers()
    n_frames = rig.frame()
    rig.wait_for_placed(n_frames * N_UNITS)
    counters = rig.receiver.counters
    assert counters.received == counters.placed + rig.n_foreign
    assert counters.frames_incomplete == counters.restarts == 0


@pytest.mark.parametrize(
    ("place", "senders", "is_let_in"),
    [
        ("127.0.0.1", ["127.0.0.1"], True),
        ("127.0.0.1", ["10.0.0.0/8", "127.0.0.0/8"], True),
        ("127.0.0.1", ["127.0.0.2"], False),
        ("127.0.0.1", ["fd00::/8", "10.1.2.3"], False),
        ("::1", ["::1"], True),
        ("::1", ["fd00:1:2:3::/64", "::/64"], True),
        ("::1", ["::2"], False),
        ("::1", ["fd00::1", "0:0:1::/48", "127.0.0.1"], False),
    ],
)
def test_program_leaves_what_named_senders_send_and_cuts_the_rest(place, senders, is_let_in):
    where = UdpPlace.of(place)
    receiving = UdpSocket(where, 0, 2**20, gro=False)
    program = sender_program([ip_network(sender) for sender in senders], where.address.version)
    assert program is not None
    assert receiving.attach_filter(program)
    with socket.socket(where.family, socket.SOCK_DGRAM) as sending:
        sending.sendto(b"packet", (place, receiving.port))
        assert receiving.receive() == (b"packet" if is_let_in else b"", place)
        receiving.detach_filter()
        sending.sendto(b"packet", (place, receiving.port))
        assert receiving.receive() == (b"packet", place)
    receiving.close()


def test_too_many_senders_or_none_of_the_version_have_no_program():
    assert sender_program([ip_network("10.0.0.1")], 6) is None
    assert sender_program([ip_network(number) for number in range(2**24, 2**24 + 300)], 4) is None
