"""How fast packets go out to a full loopback socket: UDP_SEGMENT, plain sendmmsg, a Python loop of sendto.

All three in one run, taking turns, because absolute rates differ from machine to machine and from hour to hour; the
ratios are what counts. Nobody reads the socket, so this is the sender's cost alone: the kernel copies every packet,
finds the receiver's buffer full, and drops it.

    python benchmarks/bench_sending.py [--packet-bytes 8240] [--seconds 1] [--rounds 3]
"""

import argparse
import json
import socket
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from std_daq.simulation.sending import PacketSender

N_PACKETS = 128


def udp_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def packets_per_s(send: Callable[[NDArray[np.uint8]], object], packets: NDArray[np.uint8], seconds: float) -> float:
    """Send the packets of a frame again and again; return the rate."""
    n_frames = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        send(packets)
        n_frames += 1
    return n_frames * len(packets) / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packet-bytes", type=int, default=8240)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    packets = np.random.default_rng(1).integers(0, 256, (N_PACKETS, arguments.packet_bytes), dtype=np.uint8)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as full,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as naive,
    ):
        full.bind(("127.0.0.1", 0))
        address = full.getsockname()

        def send_one_by_one(frame: NDArray[np.uint8]) -> None:
            for packet in frame:
                naive.sendto(packet, address)

        with PacketSender(*address) as segments, PacketSender(*address, segments=False) as plain:
            if not segments.is_segmenting:
                raise SystemExit("this kernel has no UDP_SEGMENT")
            ways: dict[str, Callable[[NDArray[np.uint8]], object]] = {
                "udp_segment": segments.send,
                "sendmmsg": plain.send,
                "python_sendto": send_one_by_one,
            }
            rates: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(arguments.rounds):
                for name, send in ways.items():
                    rates[name].append(packets_per_s(send, packets, arguments.seconds))

    typical = {name: statistics.median(values) for name, values in rates.items()}
    slowest = typical["python_sendto"]
    for name, rate in typical.items():
        giga = rate * arguments.packet_bytes / 1e9
        print(f"{name:14} {rate / 1e3:9.0f} k packets/s {giga:7.2f} GB/s {rate / slowest:6.2f} x")
    print(json.dumps({"packet_bytes": arguments.packet_bytes, "packets_per_s": typical}))


if __name__ == "__main__":
    main()
