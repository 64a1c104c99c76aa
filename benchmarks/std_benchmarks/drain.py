"""What it costs to empty a full UDP socket: CPU seconds of the receiving thread for each GB.

A turn fills a socket with whole frames and then starts the receiver, twice, so that nothing but receiving is
timed: no sender runs meanwhile, no call waits. *Ours* is the service's own socket, port and thread (`PortReceiver`): it
checks every header, marks every packet, ends every frame, and writes it into the FrameBuffer. The *reference* is
receive.c: ``recvmmsg`` into scratch and memcpy to the place that frame and packet number give, without any check and
without telling anybody. Both threads are started for the turn and ask for the same socket buffer, and both rings lie in
shared memory that has been touched before.

A sender that segments (``UDP_SEGMENT``) hands the kernel up to 64 KB at once. Over loopback that reaches a receiver
with ``UDP_GRO`` in one piece, as it would from a network card that coalesces; the reference, which does without, gets
single packets from the same sender. The ratio to the reference behind a plain sender is in the details.

*Ours* asks the kernel for the address of each message, as on a port on which packets have just begun to come. On a port
that is calm, a filter of the socket looks at the senders instead. A third way makes the port calm first, and tells the
ratio of both, in turns of the same run.

After each turn the rings are compared with what was sent, byte by byte.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from std_benchmarks.figure import Figure, Target
from std_benchmarks.receiving.camera import EIGER, JUNGFRAU, Camera, Frames, Sent
from std_benchmarks.receiving.copying_receiver import CopyingReceiver
from std_benchmarks.receiving.kernel_drops import kernel_drops
from std_benchmarks.receiving.port_drain import PortDrain
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_daq.errors import ResourceError

BUFFER_BYTES = 512 * 2**20
"""What the kernel is asked for; where it grants less, less is drained in a turn."""
MAX_BYTES = 48 * 2**20
N_DRAINS = 2
# The kernel counts its own overhead, and rounds up to powers of two.
USABLE = 0.75
SPARE_SLOTS = 16
N_CALM_FRAMES = 4

CASES: tuple[tuple[str, dict[str, Any], float, float], ...] = (
    ("JUNGFRAU", JUNGFRAU, 0.8, 0.55),
    ("EIGER", EIGER, 0.8, 0.5),
)
"""Detector, its configuration, and the targets behind a plain and behind a segmenting sender."""


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the cost for both detectors, behind a plain and a segmenting sender."""
    for name, document, plain_target, segmented_target in CASES:
        setting.progress(f"draining {name} packets")
        with closing(Drains(setting, Frames(document))) as drains:
            ways: list[Callable[[], float]] = [
                partial(way, segments=segments) for segments in (False, True) for way in drains.ways
            ]
            ways.append(drains.ours_filtered)
            plain, copying_plain, segmented, copying_segmented, filtered = take_turns(ways, setting.repeats)
            details = drains.details
        yield Figure(
            f"drain, {name}",
            "CPU s/GB",
            plain,
            "recvmmsg + memcpy in C",
            copying_plain,
            Target.at_most(plain_target),
            details,
        )
        yield Figure(
            f"drain, {name}, the kernel looks at senders",
            "CPU s/GB",
            filtered,
            "recvmmsg + memcpy in C",
            copying_plain,
            Target.at_most(plain_target),
            details | {"ratio_to_asking_for_addresses": round(_median_ratio(filtered, plain), 3)},
        )
        to_plain = _median_ratio(segmented, copying_plain)
        yield Figure(
            f"drain, {name}, segmenting sender",
            "CPU s/GB",
            segmented,
            "recvmmsg + memcpy in C",
            copying_segmented,
            Target.at_most(segmented_target),
            details | {"ratio_to_reference_behind_plain_sender": round(to_plain, 3)},
        )


class Drains:
    """The ways to empty a socket, each with a socket and a ring of its own.

    Parameters
    ----------
    setting
        Where the rings lie.
    frames
        What is sent.
    """

    def __init__(self, setting: Setting, frames: Frames) -> None:
        self._frames = frames
        name = frames.config.name
        n_slots = (MAX_BYTES // frames.bytes_per_frame + SPARE_SLOTS) | 1
        self._copying = CopyingReceiver(
            frames, setting.shm / f"{name}-copying", n_slots=n_slots, buffer_bytes=BUFFER_BYTES
        )
        self._ours = PortDrain(frames, setting.shm / f"{name}-frames", n_slots=n_slots, buffer_bytes=BUFFER_BYTES)
        granted = self._copying.granted_bytes
        self._n_frames = min(MAX_BYTES, int(granted * USABLE)) // frames.bytes_per_frame
        if not self._n_frames:
            raise ResourceError(
                f"the kernel grants a socket {granted} bytes, too few for a frame of {frames.bytes_per_frame}; "
                "raise the limit: sysctl -w net.core.rmem_max=134217728"
            )
        self._next_frame = 1

    @property
    def details(self) -> dict[str, int]:
        """What a turn consists of."""
        return {
            "packet_bytes": self._frames.packet_bytes,
            "packets_drained_at_once": self._n_packets,
            "socket_buffer_bytes": self._copying.granted_bytes,
            "reference_batch": self._copying.batch,
        }

    @property
    def ways(self) -> tuple[Callable[..., float], ...]:
        """Ours and the reference."""
        return self.ours, self.copying

    def ours(self, *, segments: bool) -> float:
        """Return what our receiver needs, in CPU seconds for each GB."""
        return self._cost(self._drain_ours, segments)

    def copying(self, *, segments: bool) -> float:
        """Return what the reference needs, in CPU seconds for each GB."""
        return self._cost(self._drain_copying, segments)

    def ours_filtered(self) -> float:
        """Return what our receiver needs while the kernel looks at the senders, in CPU seconds for each GB."""
        return self._cost(self._drain_filtered, segments=False)

    def _cost(self, drain: Callable[[bool], float], segments: bool) -> float:
        cpu_s = sum(drain(segments) for _ in range(N_DRAINS))
        return cpu_s / (N_DRAINS * self._n_frames * self._frames.bytes_per_frame / 1e9)

    def _drain_ours(self, segments: bool) -> float:
        sent = self._fill(self._ours.open(), segments=segments)
        cpu_s = self._ours.drain(self._n_packets)
        if not self._ours.is_right(sent):
            raise AssertionError("the receiver has not placed what was sent")
        self._ours.close_port()
        return cpu_s

    def _drain_filtered(self, segments: bool) -> float:
        port = self._ours.open()
        self._ours.become_calm(partial(self._fill, port, segments=segments, n_frames=N_CALM_FRAMES))
        # That takes seconds, in which a machine may take memory away; the other ways find theirs as they left it.
        self._fill(port, segments=segments)
        self._ours.drain(self._n_packets)
        sent = self._fill(port, segments=segments)
        cpu_s = self._ours.drain(self._n_packets)
        if not (self._ours.is_right(sent) and self._ours.is_filtered):
            raise AssertionError("the receiver has not placed what was sent, or has asked for addresses")
        self._ours.close_port()
        return cpu_s

    def _drain_copying(self, segments: bool) -> float:
        sent = self._fill(self._copying.port, segments=segments)
        self._copying.start(self._n_packets)
        cpu_s = self._copying.finish(stop=False)
        if not self._copying.is_right(sent):
            raise AssertionError("the reference has not placed what was sent")
        return cpu_s

    def close(self) -> None:
        """Let go of sockets and rings."""
        self._ours.close()
        self._copying.close()

    @property
    def _n_packets(self) -> int:
        return self._n_frames * self._frames.packets_per_frame

    def _fill(self, port: int, *, segments: bool, n_frames: int | None = None) -> Sent:
        """Send frames, by default those of a turn, to a socket."""
        with Camera(self._frames, port, segments=segments, first_frame=self._next_frame) as camera:
            sent = camera.send(n_frames or self._n_frames)
        self._next_frame += sent.n_frames
        if kernel_drops(port):
            raise ResourceError(f"the socket does not hold {self._n_packets} packets")
        return sent


def _median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of the turns."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
