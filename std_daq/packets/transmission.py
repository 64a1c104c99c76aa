"""Sending frames of packets at a rate."""

import time
from collections.abc import Callable, Mapping

from std_daq.packets.bursts import BurstSink, BurstSource
from std_daq.packets.pacing import Pacer

DEFAULT_BYTES_PER_S = 100e6
"""Pace without a rate: slow enough for a receiver on the same machine with the socket buffer that Linux grants by
default: where four ports share the pace, such a buffer holds what one of them gets in 8 ms."""


def patient_pacer(rate_hz: float, sleep: Callable[[float], object] = time.sleep) -> Pacer:
    """Return a pacer for senders that share the machine with the receiver.

    It never spins: a core that waits between bursts is of more use to the receiver. And it catches up little, because
    what is caught up comes as a burst.
    """
    return Pacer(rate_hz, max_lag_s=0.005, spin_s=0.0, sleep=sleep)


class Transmission:
    """Sends the frames of a source at a rate; the packets of a frame are spread evenly over its period.

    Parameters
    ----------
    source
        Frames of packets.
    sinks
        Where the packets of each port go.
    rate_hz
        Frames a second. By default as many as the pace allows.
    bytes_per_s
        The pace where no rate is given.
    make_pacer
        Makes the pacer for a rate in Hz, such as one that can be stopped.

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
        """How much longer it took than the rate says, because the packets could not be had or sent in time."""
        return self._pacer.forgotten_s

    def step(self) -> bool:
        """Send the next frame; return whether there was one, and nobody stopped the pacer."""
        bursts = next(self._frames, None)
        if bursts is None:
            return False
        sizes = [burst.n_bytes for burst in bursts]
        # what one period of the pacer stands for: a frame, or a byte
        period_bytes = max(sum(sizes), 1) if self._is_timed else 1
        for burst, n_bytes in zip(bursts, sizes, strict=True):
            if not self._pacer.wait(n_bytes / period_bytes):
                return False
            self.n_packets += self._sinks[burst.port].send_from(burst.buffer, burst.offsets, burst.lengths)
            self.n_bytes += n_bytes
        self.n_frames += 1
        return True

    def run(self) -> None:
        """Send everything."""
        while self.step():
            pass
