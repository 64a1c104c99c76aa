"""Receiver for the packets of one frame in plain Python, the reference for compiled receivers."""

from collections.abc import Container, Iterable

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.interface import SimulatedFrame
from std_daq.imaging.detectors.packet_layout import PacketLayout


def datagrams_of(frame: SimulatedFrame, lost: Container[int] = ()) -> list[bytes]:
    """Return the datagrams of a simulated frame, except the packets whose numbers are in ``lost``."""
    packets = zip(frame.packets, frame.lengths, strict=True)
    return [packet[:length].tobytes() for number, (packet, length) in enumerate(packets) if number not in lost]


def receive_frame(layout: PacketLayout, datagrams: Iterable[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Place the packets of one frame; return its bytes and the bitmap of its units.

    Bytes that no packet carried are 0xA5, so that tests notice a converter that uses them as data.

    Raises
    ------
    ValueError
        A datagram does not fit the layout.
    """
    frame = np.full(layout.frame_bytes, 0xA5, np.uint8)
    received = np.zeros((layout.n_units + 63) // 64, np.uint64)
    for datagram in datagrams:
        for check in layout.checks:
            if check.field.read(datagram) != check.expected:
                raise ValueError(check.reason)
        n_units, n_padding = divmod(len(datagram) - layout.header_bytes, layout.unit_bytes)
        first = layout.unit.read(datagram) - layout.first_unit
        if not (1 <= n_units <= layout.max_units_per_packet and 0 <= first <= layout.n_units - n_units):
            raise ValueError(f"units {first} to {first + n_units - 1} of {layout.n_units}")
        if n_padding > layout.max_padding_bytes:
            raise ValueError(f"{n_padding} bytes follow the pixels")
        start = first * layout.unit_bytes
        pixels = datagram[layout.header_bytes : len(datagram) - n_padding]
        frame[start : start + len(pixels)] = np.frombuffer(pixels, np.uint8)
        for unit in range(first, first + n_units):
            received[unit // 64] |= np.uint64(1 << (unit % 64))
    return frame, received
