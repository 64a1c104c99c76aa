"""Sending captured packets again."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from std_daq.simulation.pacing import Pacer

DEFAULT_BYTES_PER_S = 100e6
"""Pace without a rate: slow enough for a receiver on the same machine with the socket buffer that Linux grants by
default (about 25 packets of 8 KB): 10 ms of one port's packets where four share the pace."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Packets for one port that are sent in a row.

    Attributes
    ----------
    port
        UDP port that they were captured on.
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
    """Where a replay takes its packets from."""

    def frames(self) -> Iterator[list[Burst]]:
        """Yield the bursts of one frame of all ports after the other, in the order to send them."""


class BurstSink(Protocol):
    """Where the packets of one port go; a PacketSender is one."""

    def send_from(self, buffer: NDArray[np.uint8], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> int:
        """Send packets that lie in a buffer; return how many."""


class Replay:
    """Sends the frames of a source at a rate; the packets of a frame are spread evenly over its period.

    Parameters
    ----------
    source
        Frames of packets.
    sinks
        Where the packets of each captured port go.
    rate_hz
        Frames a second. By default as many as the pace allows.
    bytes_per_s
        The pace where no rate is given.
    make_pacer
        Makes the pacer for a rate in Hz.

    Attributes
    ----------
    n_frames, n_packets, n_bytes
        What was sent so far.
    """

    def __init__(
        self,
        source: BurstSource,
        sinks: Mapping[int, BurstSink],
        *,
        rate_hz: float | None = None,
        bytes_per_s: float = DEFAULT_BYTES_PER_S,
        make_pacer: Callable[[float], Pacer] = Pacer,
    ) -> None:
        self._frames = source.frames()
        self._sinks = sinks
        self._is_timed = rate_hz is not None
        self._pacer = make_pacer(bytes_per_s if rate_hz is None else rate_hz)
        self.n_frames = 0
        self.n_packets = 0
        self.n_bytes = 0

    def step(self) -> bool:
        """Send the next frame; return whether there was one, and nobody stopped the pacer."""
        bursts = next(self._frames, None)
        if bursts is None:
            return False
        n_frame = sum(burst.n_bytes for burst in bursts)
        for burst in bursts:
            n_bytes = burst.n_bytes
            if not self._pacer.wait(n_bytes / max(n_frame, 1) if self._is_timed else n_bytes):
                return False
            self.n_packets += self._sinks[burst.port].send_from(burst.buffer, burst.offsets, burst.lengths)
            self.n_bytes += n_bytes
        self.n_frames += 1
        return True

    def run(self) -> None:
        """Send everything."""
        while self.step():
            pass
