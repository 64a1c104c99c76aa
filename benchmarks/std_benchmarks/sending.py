"""How fast the simulator sends: packets of a JUNGFRAU module to a full loopback socket.

*Ours* is PacketSender, which `std-daq simulate` and `std-daq replay` use: a compiled loop of ``sendmmsg``, with
``UDP_SEGMENT`` or plain. The *reference* is what one writes first in Python, ``sendto`` for each packet of an array.
Nobody reads the socket, so this is the sender's cost alone: the kernel copies every packet, finds the buffer full,
and drops it. Both send the same packets to the same socket.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import numpy as np
from numpy.typing import NDArray

from std_benchmarks.figure import Figure
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_daq.errors import ResourceError
from std_daq.packets.sending import PacketSender

N_PACKETS = 128
PACKET_BYTES = 8240
TURN_S = 0.4


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rates with and without segments."""
    packets = np.random.default_rng(1).integers(0, 256, (N_PACKETS, PACKET_BYTES), dtype=np.uint8)
    with ExitStack() as stack:
        full, naive = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in ("receiver", "sender")
        )
        full.bind(("127.0.0.1", 0))
        host, port = full.getsockname()
        segmenting = stack.enter_context(PacketSender(host, port))
        plain = stack.enter_context(PacketSender(host, port, segments=False))
        if not segmenting.is_segmenting:
            raise ResourceError("this kernel does not send segments (UDP_SEGMENT): it needs Linux 4.18")

        def send_one_by_one(frame: NDArray[np.uint8]) -> None:
            for packet in frame:
                naive.sendto(packet, (host, port))

        setting.progress("sending JUNGFRAU packets to a full socket")
        ways: list[Callable[[NDArray[np.uint8]], object]] = [segmenting.send, plain.send, send_one_by_one]
        segments, singles, one_by_one = take_turns(
            [partial(packets_per_s, send, packets) for send in ways], setting.repeats
        )
    details = {"packet_bytes": PACKET_BYTES}
    reference = "sendto in Python"
    yield Figure("sending, segments", "packets/s", segments, reference, one_by_one, details=details)
    yield Figure("sending, plain", "packets/s", singles, reference, one_by_one, details=details)


def packets_per_s(send: Callable[[NDArray[np.uint8]], object], packets: NDArray[np.uint8]) -> float:
    """Send the packets of a frame again and again; returns the rate."""
    n_frames = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < TURN_S:
        send(packets)
        n_frames += 1
    return n_frames * len(packets) / elapsed
