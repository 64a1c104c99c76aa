import errno
import socket
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.errors import PortError
from std_daq.packets.kernels import MAX_MESSAGE_BYTES, MAX_SEGMENTS, segments_from, total_bytes
from std_daq.packets.sending import PacketSender

SO_NO_CHECK = 11


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture(params=[True, False], ids=["segments", "plain"])
def sender(request: pytest.FixtureRequest, receiver: socket.socket) -> Iterator[PacketSender]:
    with PacketSender("127.0.0.1", receiver.getsockname()[1], segments=request.param) as sender:
        yield sender


def some_packets(n: int, n_bytes: int) -> NDArray[np.uint8]:
    return np.random.default_rng(n).integers(0, 256, (n, n_bytes), dtype=np.uint8)


def received(receiver: socket.socket, n: int) -> list[bytes]:
    return [receiver.recv(65536) for _ in range(n)]


# few enough for the receive buffer that Linux grants by default
@pytest.mark.parametrize(("n", "n_bytes"), [(1, 8240), (12, 8240), (40, 1234), (70, 48), (1, 0), (3, 65507)])
def test_packets_arrive_as_they_are(receiver: socket.socket, sender: PacketSender, n: int, n_bytes: int) -> None:
    packets = some_packets(n, n_bytes)
    assert sender.send(packets) == n
    assert received(receiver, n) == [packet.tobytes() for packet in packets]
    assert (sender.n_sent, sender.n_bytes) == (n, n * n_bytes)


def test_an_empty_array_sends_nothing(sender: PacketSender) -> None:
    assert sender.send(some_packets(0, 8240)) == 0


def test_the_order_chooses_repeats_and_permutes(receiver: socket.socket, sender: PacketSender) -> None:
    packets = some_packets(10, 500)
    order = np.array([9, 0, 0, 4, 3, 4])
    assert sender.send(packets, order=order) == 6
    assert received(receiver, 6) == [packets[i].tobytes() for i in order]


def test_the_last_packet_may_be_shorter(receiver: socket.socket, sender: PacketSender) -> None:
    packets = some_packets(4, 7160)
    lengths = np.array([7160, 7160, 7160, 6368])
    sender.send(packets, lengths=lengths)
    assert received(receiver, 4) == [packet[:n].tobytes() for packet, n in zip(packets, lengths, strict=True)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.sampled_from([0, 1, 100, 100, 100, 1000, 5000]), max_size=20))
def test_lengths_mix_at_will(receiver: socket.socket, sender: PacketSender, lengths: list[int]) -> None:
    packets = some_packets(len(lengths), 5000)
    sender.send(packets, lengths=np.array(lengths, np.int64))
    assert received(receiver, len(lengths)) == [
        packet[:n].tobytes() for packet, n in zip(packets, lengths, strict=True)
    ]


def test_packets_are_sent_from_anywhere_in_a_buffer(receiver: socket.socket, sender: PacketSender) -> None:
    buffer = some_packets(1, 1000)[0]
    offsets, lengths = np.array([900, 0, 17]), np.array([100, 10, 3])
    sender.send_from(buffer, offsets, lengths)
    assert received(receiver, 3) == [buffer[at : at + n].tobytes() for at, n in zip(offsets, lengths, strict=True)]


@pytest.mark.parametrize(("offset", "length"), [(-1, 10), (91, 10), (0, -1), (2**62, 2**62)])
def test_a_packet_outside_the_buffer_is_refused(sender: PacketSender, offset: int, length: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        sender.send_from(np.zeros(100, np.uint8), np.array([offset]), np.array([length]))
    assert sender.n_sent == 0


def test_nobody_has_to_listen(receiver: socket.socket) -> None:
    port = receiver.getsockname()[1]
    receiver.close()
    with PacketSender("127.0.0.1", port) as sender:
        for _ in range(5):
            assert sender.send(some_packets(20, 1000)) == 20


def test_segments_that_the_kernel_refuses_are_sent_again_one_by_one(receiver: socket.socket) -> None:
    packets = some_packets(8, 1000)
    with PacketSender("127.0.0.1", receiver.getsockname()[1]) as sender:
        if not sender.is_segmenting:
            pytest.skip("this kernel has no UDP_SEGMENT")
        # without checksums there are no segments: EINVAL
        sender._socket.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        sender.send(packets)
        assert not sender.is_segmenting
        assert sender.n_sent == 8
    assert received(receiver, 8) == [packet.tobytes() for packet in packets]


def test_a_packet_that_no_datagram_can_carry_is_an_error(sender: PacketSender) -> None:
    with pytest.raises(PortError, match="Message too long"):
        sender.send(some_packets(1, 65508))


def test_a_full_socket_is_tried_again(sender: PacketSender) -> None:
    sender._recover(errno.ENOBUFS)
    assert sender.n_retries == 1


def test_an_unknown_host_is_an_error() -> None:
    with pytest.raises(PortError, match="port 50000"):
        PacketSender("256.0.0.1", 50000)


def test_ipv6_works_as_well() -> None:
    try:
        receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        receiver.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    packets = some_packets(10, 2000)
    with receiver, PacketSender("::1", receiver.getsockname()[1]) as sender:
        receiver.settimeout(5)
        sender.send(packets)
        assert received(receiver, 10) == [packet.tobytes() for packet in packets]


@pytest.mark.parametrize("function", [segments_from, segments_from.py_func], ids=["compiled", "python"])
@pytest.mark.parametrize(
    ("lengths", "first", "longest", "expected"),
    [
        ([8240] * 20, 0, 60000, 7),
        ([8240] * 20, 15, 60000, 5),
        ([8240] * 20, 0, 8239, 1),
        ([8240] * 20, 0, 0, 1),
        ([100] * 100, 0, 60000, MAX_SEGMENTS),
        ([100, 100, 50, 100], 0, 60000, 3),
        ([100, 100, 101], 0, 60000, 2),
        ([100, 0, 100], 0, 60000, 1),
        ([0, 0], 0, 60000, 1),
        ([MAX_MESSAGE_BYTES, 1], 0, MAX_MESSAGE_BYTES, 1),
    ],
)
def test_a_message_takes_as_many_segments_as_it_may(
    function: object, lengths: list[int], first: int, longest: int, expected: int
) -> None:
    assert function(np.array(lengths), first, longest) == expected  # type: ignore[operator]


@pytest.mark.parametrize("function", [total_bytes, total_bytes.py_func], ids=["compiled", "python"])
@pytest.mark.parametrize(
    ("offsets", "lengths", "expected"),
    [([], [], 0), ([0, 90], [10, 10], 20), ([100], [0], 0), ([101], [0], -1), ([0, 91], [10, 10], -1)],
)
def test_packets_within_the_buffer_are_added_up(
    function: object, offsets: list[int], lengths: list[int], expected: int
) -> None:
    assert function(np.array(offsets, np.int64), np.array(lengths, np.int64), 100) == expected  # type: ignore[operator]
