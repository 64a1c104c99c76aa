"""The highest rate without loss over a minute: sender and receiver on one core each, JUNGFRAU packets.

The rate is found by bisection with trials of two seconds, in which it is given up when something was lost at it twice.
Nine tenths of it, or less if that does not hold, then have to hold for a minute: short trials say too much, because
the socket's buffer takes what the receiver does not. The sender
segments (``UDP_SEGMENT``); plain ones are slower than either receiver. *Ours* is the process ``std-udp-recv`` as in
operation, with all of its threads on one core, those that announce included; the *reference* is receive.c on the same
core, without any check and without telling anybody. Both ask for the same socket buffer.

Lossless means that all frames are whole (ours) or all packets have come (reference) and the kernel has dropped nothing;
the rings are compared with the last frames that were sent. Where the sender cannot go faster than a receiver takes, the
details say so: what is given then is the sender's rate, and the receiver's limit lies above. They also tell how fast it
sends to a socket that nobody reads and that drops nearly all: more than to one that is read, which takes memory.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

from std_benchmarks.figure import Figure, Target
from std_benchmarks.receiving.camera import ADDRESS, JUNGFRAU, Camera, Frames
from std_benchmarks.receiving.copying_receiver import CopyingReceiver
from std_benchmarks.receiving.cores import pinned, sender_and_receiver
from std_benchmarks.receiving.lossless_trials import PACKETS_PER_BURST, LosslessTrials, Receiver
from std_benchmarks.receiving.rate_search import HighestRate, bisect, confirm, twice
from std_benchmarks.receiving.receiver_process import ReceiverProcess
from std_benchmarks.setting import Setting
from std_daq.errors import ResourceError

TRIAL_S = 2.0
CONFIRM_S = 60.0
N_STEPS = 5
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Of the rate of the short trials, tried for a minute until one holds."""
N_FRAMES_ALONE = 2000
N_SLOTS = 65
BUFFER_BYTES = 512 * 2**20
"""Enough for interruptions of 140 ms at 3.5 GB/s: machines without cores set apart have them."""


def measure(setting: Setting, confirm_s: float = CONFIRM_S) -> Iterator[Figure]:
    """Give the highest rate that holds for so many seconds."""
    sending_core, receiving_core = sender_and_receiver(setting.cores)
    frames = Frames(JUNGFRAU)
    # Whatever else this process does is not to disturb the receivers.
    with ExitStack() as stack:
        stack.enter_context(pinned(sending_core))
        setting.progress("the sender alone")
        alone = sender_alone(frames, sending_core)
        ours = ReceiverProcess(frames, setting, n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES, core=receiving_core)
        stack.enter_context(closing(ours))
        copying = CopyingReceiver(
            frames, setting.shm / "copying", n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES, core=receiving_core
        )
        stack.enter_context(closing(copying))
        receivers: dict[str, Receiver] = {"std-udp-recv": ours, "receiver in C": copying}
        rates: list[HighestRate] = []
        for name, receiver in receivers.items():
            trials = stack.enter_context(closing(LosslessTrials(receiver, frames, sending_core)))
            setting.progress(f"{name}: looking for the highest rate")
            found = bisect(twice(trials.lasting(TRIAL_S)), N_STEPS)
            setting.progress(f"{name}: {found.bytes_per_s / 1e9:.2f} GB/s for {TRIAL_S:g} s, now for {confirm_s:g} s")
            rates.append(confirm(trials.lasting(confirm_s), found, SHARES))
            if not rates[-1].bytes_per_s:
                raise ResourceError(f"{name} loses packets at any rate: the machine is busy otherwise")
        yield Figure(
            f"highest lossless rate over {confirm_s:g} s, JUNGFRAU",
            "GB/s",
            [rates[0].bytes_per_s / 1e9],
            "recvmmsg + memcpy in C",
            [rates[1].bytes_per_s / 1e9],
            Target.at_least(1.2),
            {
                "sender_is_the_limit_of_ours": rates[0].is_sender_the_limit,
                "sender_is_the_limit_of_the_reference": rates[1].is_sender_the_limit,
                "sender_alone_gb_per_s": round(alone / 1e9, 2),
                "socket_buffer_bytes": copying.granted_bytes,
            },
        )


def sender_alone(frames: Frames, core: int) -> float:
    """Return how fast the sender is when nobody receives, in bytes per second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unread:
        unread.bind((ADDRESS, 0))
        with Camera(
            frames, unread.getsockname()[1], segments=True, packets_per_burst=PACKETS_PER_BURST, core=core
        ) as camera:
            camera.send(N_FRAMES_ALONE // 4)
            return camera.send(N_FRAMES_ALONE).bytes_per_s
