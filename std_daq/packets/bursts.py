"""Bursts: references to packets in a buffer, which a sender sends without copying them."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BURST_PACKETS = 16
"""Largest number of packets that are sent to one port before packets are sent to the next port. The receiver's socket
buffer, as Linux grants it by default, holds about 25 packets of 8 KB."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Packets that are sent to one port one after the other.

    Attributes
    ----------
    port
        UDP port.
    buffer
        Buffer that contains the packets: u8, one dimension.
    offsets, lengths
        Offset and length of each packet in `buffer`, in bytes: i64.
    """

    port: int
    buffer: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def n_bytes(self) -> int:
        """Total length of the packets, in bytes."""
        return int(self.lengths.sum())


class BurstSource(Protocol):
    """Source of the packets to send."""

    def frames(self) -> Iterator[list[Burst]]:
        """Yield, frame by frame, the bursts of all ports in the order in which to send them."""


class BurstSink(Protocol):
    """Receiver of the packets of one port, such as a PacketSender."""

    def send_from(self, buffer: NDArray[np.uint8], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> int:
        """Send packets that lie in a buffer; return the number of packets sent."""


def cut(burst: Burst) -> list[Burst]:
    """Cut a burst into bursts of at most BURST_PACKETS packets."""
    return [
        Burst(burst.port, burst.buffer, burst.offsets[i : i + BURST_PACKETS], burst.lengths[i : i + BURST_PACKETS])
        for i in range(0, len(burst.offsets), BURST_PACKETS)
    ]


def take_turns(ports: Iterable[Iterable[Burst]]) -> list[Burst]:
    """Return the first burst of each port, then the second burst of each port, and so on."""
    turns = itertools.zip_longest(*ports)
    return [burst for turn in turns for burst in turn if burst is not None]
