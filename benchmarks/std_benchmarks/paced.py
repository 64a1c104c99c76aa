"""What receiving costs at a moderate rate, and how soon an image is told of: 0.5 GB/s of JUNGFRAU packets.

The packets come a few at a time, spread evenly, each by itself (no segments), as from a detector behind a switch. At
such a rate waking up costs as much as copying. *Ours* is the process ``std-udp-recv`` as in operation, with all of
its threads on one core: checks, bitmaps, announcements, metrics. The *reference* is receive.c in a thread on the same
core, which takes with MSG_WAITFORONE whatever waits, copies it, and tells nobody. Sender and subscriber share the other
core. While one of the receivers has its turn, the other waits for packets and costs nothing worth mentioning.

The delay of an image runs from when the last of its packets had been handed to the kernel until a subscriber to the
receiver's announcements, a thread on the sender's core, has the message in its hands.

All packets of both have to arrive, and the rings are compared with what was sent.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import numpy as np
from numpy.typing import NDArray

from std_benchmarks.figure import Figure, Target
from std_benchmarks.receiving.announcements import Announcements
from std_benchmarks.receiving.camera import JUNGFRAU, Camera, Frames, Sent
from std_benchmarks.receiving.copying_receiver import CopyingReceiver
from std_benchmarks.receiving.cores import sender_and_receiver
from std_benchmarks.receiving.receiver_process import ReceiverProcess
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_daq.errors import ResourceError

BYTES_PER_S = 0.5e9
SECONDS = 2.0
PACKETS_PER_BURST = 4
N_SLOTS = 65
BUFFER_BYTES = 64 * 2**20
PERCENTILE = 99
MIN_SHARE = 0.97
MAX_TURNS = 5
"""Until the sender has kept its rate in one."""
MAX_TRIES = 5


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the cost, and the delay of an image."""
    setting.progress(f"receiving {BYTES_PER_S / 1e9:g} GB/s of JUNGFRAU packets")
    with closing(PacedReceivers(setting, Frames(JUNGFRAU))) as receivers:
        receivers.make_heard()
        ours, copying = take_turns([receivers.ours, receivers.copying], setting.repeats)
        delays_ms = receivers.delays_ms[1:]  # the first turn does not count
        details = receivers.details
    yield Figure(
        "receiving 0.5 GB/s, JUNGFRAU",
        "CPU s/GB",
        ours,
        "recvmmsg + memcpy in C",
        copying,
        Target.at_most(0.65),
        details,
    )
    all_ms = np.concatenate(delays_ms)
    yield Figure(
        "last packet to announcement at 0.5 GB/s, 99 %",
        "ms",
        [float(np.percentile(turn, PERCENTILE)) for turn in delays_ms],
        target=Target.at_most(2.0),
        details={
            "images": len(all_ms),
            "median_ms": float(np.median(all_ms)),
            "percentile_99_of_all_turns_ms": float(np.percentile(all_ms, PERCENTILE)),
            "longest_ms": float(all_ms.max()),
        },
    )


class PacedReceivers:
    """Both receivers, and a camera for each.

    Parameters
    ----------
    setting
        Where things lie and which cores there are.
    frames
        What is sent.

    Attributes
    ----------
    delays_ms
        Delay of each image, (n_frames,) for each turn of ours.
    """

    def __init__(self, setting: Setting, frames: Frames) -> None:
        sending_core, receiving_core = sender_and_receiver(setting.cores)
        self._frames = frames
        self._n_frames = int(SECONDS * BYTES_PER_S / frames.bytes_per_frame)
        self._announcing_s = 0.0
        self._n_bytes = 0
        self.delays_ms: list[NDArray[np.float64]] = []
        with ExitStack() as stack:
            self._copying = CopyingReceiver(
                frames,
                setting.shm / "copying",
                n_slots=N_SLOTS,
                buffer_bytes=BUFFER_BYTES,
                core=receiving_core,
            )
            stack.callback(self._copying.close)
            self._ours = ReceiverProcess(
                frames, setting, n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES, core=receiving_core
            )
            stack.callback(self._ours.close)
            self._announcements = stack.enter_context(Announcements(self._ours.address, core=sending_core))
            self._camera, self._copying_camera = (
                stack.enter_context(
                    Camera(frames, port, segments=False, packets_per_burst=PACKETS_PER_BURST, core=sending_core)
                )
                for port in (self._ours.port, self._copying.port)
            )
            self._opened = stack.pop_all()

    @property
    def details(self) -> dict[str, float | int]:
        """The conditions."""
        return {
            "bytes_per_s": BYTES_PER_S,
            "seconds_a_turn": SECONDS,
            "packets_per_burst": PACKETS_PER_BURST,
            "socket_buffer_bytes": self._copying.granted_bytes,
            "packets_displaced": self._ours.counters().total("daq_udp_packets_displaced_total"),
            "announcing_cpu_s_per_gb": round(self._announcing_s / (self._n_bytes / 1e9), 4),
        }

    def make_heard(self) -> None:
        """Send single frames until the subscriber hears of one; raises ResourceError if it never does."""
        for _ in range(MAX_TRIES):
            self._camera.send(1)
            if self._announcements.wait_for(1):
                self._announcements.take()
                return
        raise ResourceError("nothing is heard of what std-udp-recv receives")

    def ours(self) -> float:
        """Return what our receiver needs, in CPU seconds for each GB."""
        return _at_rate(self._ours_once)

    def copying(self) -> float:
        """Return what the reference needs, in CPU seconds for each GB."""
        return _at_rate(self._copying_once)

    def close(self) -> None:
        """End both."""
        self._opened.close()

    def _ours_once(self) -> tuple[Sent, float]:
        before, announcing_before = self._ours.cpu_s, self._ours.main_thread_s
        sent = self._camera.send(self._n_frames, BYTES_PER_S)
        self._announcements.wait_for(sent.n_frames)
        cpu_s = self._ours.cpu_s - before
        self._announcing_s += self._ours.main_thread_s - announcing_before
        self._n_bytes += sent.n_bytes
        times_ns, said = self._announcements.take()
        is_whole = len(said) == sent.n_frames and not said["status"].any()
        if not (is_whole and self._ours.is_right(sent)):
            raise AssertionError(f"{sent.n_frames} images were sent, {(said['status'] == 0).sum()} came whole")
        if _is_at_rate(sent):
            self.delays_ms.append((times_ns - sent.sent_ns) / 1e6)
        return sent, cpu_s

    def _copying_once(self) -> tuple[Sent, float]:
        self._copying.start()
        sent = self._copying_camera.send(self._n_frames, BYTES_PER_S)
        self._copying.wait_for(sent.n_frames * self._frames.packets_per_frame)
        cpu_s = self._copying.finish()
        if not self._copying.is_right(sent) or self._copying.kernel_drops:
            raise AssertionError("the reference has not received all that was sent")
        return sent, cpu_s


def _is_at_rate(sent: Sent) -> bool:
    return sent.bytes_per_s >= BYTES_PER_S * MIN_SHARE


def _at_rate(turn: Callable[[], tuple[Sent, float]]) -> float:
    """Return the CPU seconds for each GB of the first turn whose sender kept its rate.

    Raises
    ------
    ResourceError
        None did.
    """
    for _ in range(MAX_TURNS):
        sent, cpu_s = turn()
        if _is_at_rate(sent):
            return cpu_s / (sent.n_bytes / 1e9)
    raise ResourceError(f"the sender reached {sent.bytes_per_s / 1e9:.2f} GB/s instead of {BYTES_PER_S / 1e9:g}")
