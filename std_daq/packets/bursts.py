"""Bursts: packets on their way from where they lie to a sender, without being copied."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BURST_PACKETS = 16
"""Packets that one port sends in a row before the next port has its turn. A socket buffer as Linux grants it by default
holds about 25 packets of 8 KB."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Packets for one port that are sent in a row.

    Attributes
    ----------
    port
        UDP port.
    buffer
        Where they lie: u8, one dimension.
    offsets, lengths
        Where each lies in `buffer`, in bytes: i64.
    """

    port: int
    buffer: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def n_bytes(self) -> int:
        """Bytes of all packets."""
        return int(self.lengths.sum())


class BurstSource(Protocol):
    """Where the packets to send come from."""

    def frames(self) -> Iterator[list[Burst]]:
        """Yield the bursts of one frame of all ports after the other, in the order to send them."""


class BurstSink(Protocol):
    """Where the packets of one port go; a PacketSender is one."""

    def send_from(self, buffer: NDArray[np.uint8], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> int:
        """Send packets that lie in a buffer; return how many."""


def cut(burst: Burst) -> list[Burst]:
    """Cut a burst into such of at most BURST_PACKETS packets."""
    return [
        Burst(burst.port, burst.buffer, burst.offsets[i : i + BURST_PACKETS], burst.lengths[i : i + BURST_PACKETS])
        for i in range(0, len(burst.offsets), BURST_PACKETS)
    ]


def take_turns(ports: Iterable[Iterable[Burst]]) -> list[Burst]:
    """Return the first bursts of all ports, then the second ones, and so on."""
    turns = itertools.zip_longest(*ports)
    return [burst for turn in turns for burst in turn if burst is not None]
