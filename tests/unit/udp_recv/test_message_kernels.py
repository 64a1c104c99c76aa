"""Messages of any number of packets give what the same packets give one by one."""

import ctypes
import random
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_udp_recv import message_kernels as m
from std_udp_recv.libc_kernels import compiled
from std_udp_recv.records import COUNTERS

N_UNITS = 10
MAX_SEGMENTS = 64

aim_messages = compiled(m.aim_messages)
place_messages = compiled(m.place_messages)


class Message(NamedTuple):
    """What one call of the kernel brings: packets behind each other, and their length; 0 for a single one."""

    data: bytes
    packet_bytes: int


class Kernel:
    """Puts messages where the inbox directs them, as `recvmmsg` does."""

    def __init__(self, rig: Any) -> None:
        self._port = rig.port
        self.inbox = m.make_inbox()

    @property
    def is_segmented(self) -> bool:
        return bool(self.inbox.flow.is_segmented)

    def expect_single(self) -> None:
        """Let the next message of one packet be the last before batches of messages."""
        self.inbox.flow.n_singles = m.MAX_SINGLES - 1

    def deliver(self, messages: Sequence[Message], batch: int = 1000, now_ns: int = 1_000) -> None:
        left = list(messages)
        while left:
            n_messages, n_rows = aim_messages(self._port, self.inbox)
            n = min(n_messages, batch, len(left))
            for index in range(n):
                self._fill(index, left.pop(0))
            place_messages(self._port, self.inbox, n, n_rows, now_ns)

    def _fill(self, index: int, message: Message) -> None:
        header = self.inbox.messages[index]
        address, n_iovecs = int(header.iovecs), int(header.n_iovecs)
        iovecs = np.frombuffer((ctypes.c_char * (16 * n_iovecs)).from_address(address), np.uint64).reshape(-1, 2)
        data = message.data
        for base, n_bytes in iovecs.tolist():
            ctypes.memmove(base, data[:n_bytes], min(n_bytes, len(data)))
            data = data[n_bytes:]
        assert not data, "the message was cut"
        header.length = len(message.data)
        header.control_bytes = 24 if message.packet_bytes else 0
        if message.packet_bytes:
            self.inbox.controls[index] = 20, m.SOL_UDP, m.UDP_GRO, message.packet_bytes


def single(packet: bytes) -> Message:
    return Message(packet, 0)


def several(packets: Sequence[bytes]) -> Message:
    return Message(b"".join(packets), len(packets[0]))


def frame(rig: Any, key: int) -> list[bytes]:
    return [rig.packet(key, unit, fill=100 * key + unit + 1) for unit in range(N_UNITS)]


def pixels(rig: Any, key: int) -> bytes:
    return bytes(rig.ring.frame(rig.ring.index(key, 1)))


@pytest.mark.long
def test_packets_of_a_message_are_received_in_their_place(make_rig):
    rig = make_rig(n_units=N_UNITS)
    kernel = Kernel(rig)
    kernel.deliver([several(frame(rig, 0)), several(frame(rig, 1)[:4])])
    displaced = rig.count("displaced")
    sizes = (6, 4, 3, 2, 1, 10)
    packets = frame(rig, 1)[4:] + frame(rig, 2) + frame(rig, 3)
    for n in sizes:
        kernel.deliver([several(packets[:n]) if n > 1 else single(packets[0])])
        packets = packets[n:]
    assert not packets
    assert rig.count("displaced") == displaced
    assert [record[0] for record in rig.ended()] == [0, 1, 2, 3]
    assert pixels(rig, 3) == b"".join(packet[16:] for packet in frame(rig, 3))


def test_packets_behind_the_end_of_a_frame_are_placed_too(make_rig):
    rig = make_rig(n_units=N_UNITS)
    kernel = Kernel(rig)
    packets = frame(rig, 0) + frame(rig, 1) + frame(rig, 2)
    kernel.deliver([several(packets[start : start + 7]) for start in range(0, 30, 7)])
    assert [record[0] for record in rig.ended()] == [0, 1, 2]
    assert rig.refusals() == {}


def test_sender_without_segments_is_received_in_batches_after_a_while(make_rig):
    rig = make_rig(n_units=N_UNITS)
    kernel = Kernel(rig)
    kernel.deliver([single(packet) for packet in frame(rig, 0)])
    assert not kernel.is_segmented
    kernel.deliver([several(frame(rig, 1))])
    assert kernel.is_segmented
    messages = [single(packet) for key in range(2, 2 + m.MAX_SINGLES // N_UNITS) for packet in frame(rig, key)]
    kernel.deliver(messages)
    assert kernel.is_segmented
    kernel.deliver([single(packet) for packet in frame(rig, 2 + m.MAX_SINGLES // N_UNITS)])
    assert not kernel.is_segmented
    assert rig.refusals() == {}


def test_longest_message_of_the_shortest_packets_is_counted_packet_by_packet(make_rig):
    rig = make_rig(n_units=N_UNITS)
    kernel = Kernel(rig)
    kernel.deliver([Message(bytes(65507), 1), Message(bytes(65507), 65506), Message(bytes(65507), 0)])
    assert rig.refusals() == {"wrong_length": 65507 + 2 + 1}


def _packets(rig: Any, chance: random.Random, n_frames: int, faults: float, start: int) -> list[bytes]:
    """Packets of consecutive frames, with losses, duplicates, reordering, and others of any length."""
    packets = []
    for key in range(start, start + n_frames):
        unit = 0
        while unit < N_UNITS:
            count = rig.layout.units_per_packet or min(4, N_UNITS - unit)
            count = min(count, N_UNITS - unit)
            packet = rig.packet(key, unit, fill=chance.randrange(1, 2**32), count=count)
            packet += bytes(rig.layout.max_padding_bytes)
            unit += count
            others = [packet[:-1], packet + b"x", packet + bytes(300), chance.randbytes(chance.randrange(90)), b""]
            others += [rig.packet(key, 0, identity=6), rig.packet(key + 30, 1), rig.packet(key, N_UNITS)]
            if chance.random() >= faults:
                packets.append(packet)
            if chance.random() < faults:
                packets.append(chance.choice([*others, *packets[-12:]]))
    reach = chance.choice([0, 2, 10, 30])
    order = [i + chance.random() * reach * (chance.random() < faults) for i in range(len(packets))]
    return [packets[i] for i in np.argsort(order, kind="stable")]


def _messages(chance: random.Random, packets: list[bytes], most: int) -> list[Message]:
    """Join packets as a network card may: those of equal length, and one that is shorter at the end."""
    messages: list[Message] = []
    for length, group in groupby(packets, len):
        run = list(group)
        while run:
            n = chance.randint(1, most) if length else 1
            some, run = run[:n], run[n:]
            last = messages[-1] if messages else None
            n_last = -(-len(last.data) // last.packet_bytes) if last and last.packet_bytes else 0
            is_tail = length > 0 and n_last and length < last.packet_bytes and not len(last.data) % last.packet_bytes
            if len(some) == 1 and is_tail and n_last < MAX_SEGMENTS and chance.random() < 0.5:
                messages[-1] = Message(last.data + some[0], last.packet_bytes)
            else:
                messages.append(several(some) if len(some) > 1 else single(some[0]))
    return messages


@pytest.mark.long
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    seed=st.integers(0, 2**32),
    faults=st.sampled_from([0.0, 0.02, 0.1, 0.4]),
    batch=st.sampled_from([1, 3, 1000]),
    units_per_packet=st.sampled_from([1, 2, 0]),
    parts=st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 8), st.sampled_from([1, 2, 5, MAX_SEGMENTS]), st.booleans()),
        min_size=1,
        max_size=4,
    ),
)
def test_messages_give_what_their_packets_give_one_by_one(
    make_rig, tmp_path, seed, faults, batch, units_per_packet, parts
):
    chance = random.Random(seed)
    (tmp_path / "other").mkdir(exist_ok=True)
    other_maker = type(make_rig)(tmp_path / "other")
    rig = make_rig(n_units=N_UNITS, units_per_packet=units_per_packet)
    plain = other_maker(n_units=N_UNITS, units_per_packet=units_per_packet)
    kernel = Kernel(rig)
    try:
        for start, n_frames, most, is_idle in parts:
            packets = _packets(rig, chance, n_frames, faults, start)
            messages = _messages(chance, packets, most)
            while messages:
                some, messages = messages[:batch], messages[batch:]
                if chance.random() < 0.2:
                    kernel.expect_single()
                kernel.deliver(some, batch)
            for packet in packets:
                plain.deliver([packet], 1)
            if is_idle:
                rig.end()
                plain.end()
        rig.end()
        plain.end()
        _assert_equal(rig, plain)
    finally:
        del plain
        other_maker.close()


def _assert_equal(rig: Any, plain: Any) -> None:
    counted = [name for name in COUNTERS.names if name not in ("displaced", "messages", "rejected")]
    assert {name: rig.count(name) for name in counted} == {name: plain.count(name) for name in counted}
    assert rig.rejected() == plain.rejected()
    assert rig.ended() == plain.ended()
    for key, epoch, *_ in rig.ended():
        index = rig.ring.index(key, 1)
        ours, theirs = rig.ring.headers[index], plain.ring.headers[index]
        name = (key, epoch)
        # A slot may have been taken in advance for a frame of a later epoch.
        if any((int(header["frame_index"]), int(header["epoch"])) != name for header in (ours, theirs)):
            continue
        fields = [field for field in ours.dtype.names if field != "generation"]
        assert ours[fields] == theirs[fields]
        assert pixels(rig, key) == pixels(plain, key)
    assert not (rig.ring.generations % 2).any()
    assert (rig.ring.data[0::2] == 0xEE).all(), "the other module's frames were touched"
