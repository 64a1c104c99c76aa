"""Sending frames of packets at a rate."""

import time
from collections.abc import Callable, Mapping

from std_daq.packets.bursts import BurstSink, BurstSource
from std_daq.packets.pacing import Pacer

DEFAULT_BYTES_PER_S = 100e6
"""Pace if no rate is given. It is slow enough for a receiver on the same machine with the socket buffer that Linux
grants by default: if four ports share this pace, the buffer holds the packets that one port receives in 8 ms."""


def patient_pacer(rate_hz: float, sleep: Callable[[float], object] = time.sleep) -> Pacer:
    """Return a pacer for a sender on the same machine as the receiver.

    The pacer never spins, because the receiver can use the core while the sender sleeps. It catches up at most 5 ms of
    lag, because packets that are caught up arrive as a burst.
    """
    return Pacer(rate_hz, max_lag_s=0.005, spin_s=0.0, sleep=sleep)


class Transmission:
    """Send the frames of a source at a rate, with the packets of a frame spread evenly over its period.

    Parameters
    ----------
    source
        Source of the frames.
    sinks
        Senders of the packets, by port.
    rate_hz
        Frames per second; by default as many as `bytes_per_s` allows.
    bytes_per_s
        Pace if no rate is given, in bytes per second.
    make_pacer
        Makes the pacer for a rate in Hz; a pacer that can be stopped makes the transmission stoppable.

    Attributes
    ----------
    n_frames, n_packets, n_bytes
        Frames, packets and bytes sent so far.
    """

    def __init__(
        self,
        source: BurstSource,
        sinks: Mapping[int, BurstSink],
        *,
        rate_hz: float | None = None,
        bytes_per_s: float = DEFAULT_BYTES_PER_S,
        make_pacer: Callable[[float], Pacer] = patient_pacer,
    ) -> None:
        self._frames = source.frames()
        self._sinks = sinks
        self._is_timed = rate_hz is not None
        self._pacer = make_pacer(bytes_per_s if rate_hz is None else rate_hz)
        self.n_frames = 0
        self.n_packets = 0
        self.n_bytes = 0

    @property
    def forgotten_s(self) -> float:
        """Time in seconds by which the transmission took longer than its rate says.

        It grows when the source or the sender is too slow.
        """
        return self._pacer.forgotten_s

    def step(self) -> bool:
        """Send the next frame; return False if there is none or the pacer was stopped."""
        bursts = next(self._frames, None)
        if bursts is None:
            return False
        sizes = [burst.n_bytes for burst in bursts]
        # one period of the pacer is a frame if a rate is given, otherwise a byte
        period_bytes = max(sum(sizes), 1) if self._is_timed else 1
        for burst, n_bytes in zip(bursts, sizes, strict=True):
            if not self._pacer.wait(n_bytes / period_bytes):
                return False
            self.n_packets += self._sinks[burst.port].send_from(burst.buffer, burst.offsets, burst.lengths)
            self.n_bytes += n_bytes
        self.n_frames += 1
        return True

    def run(self) -> None:
        """Send all frames of the source."""
        while self.step():
            pass
