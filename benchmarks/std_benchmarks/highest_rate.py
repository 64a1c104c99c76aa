"""The highest rate without loss over a minute: sender and receiver on one core each, JUNGFRAU packets.

The rate is found by bisection with trials of a second and then has to hold for a minute; if it does not, a lower one
has to, and a rate is given up when something was lost at it twice. A second alone would say too much, because the
socket's buffer takes what the receiver does not. The sender
segments (``UDP_SEGMENT``); plain ones are slower than either receiver. *Ours* is the process ``std-udp-recv`` as in
operation, with all of its threads on one core, those that announce included; the *reference* is receive.c on the same
core, without any check and without telling anybody. Both ask for the same socket buffer.

Lossless means that all frames are whole (ours) or all packets have come (reference) and the kernel has dropped nothing;
the rings are compared with the last frames that were sent. Where the sender cannot go faster than a receiver takes, the
details say so: what is given then is the sender's rate, and the receiver's limit lies above.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing

from std_benchmarks.figure import Figure, Target
from std_benchmarks.receiving.camera import JUNGFRAU, Frames
from std_benchmarks.receiving.copying_receiver import CopyingReceiver
from std_benchmarks.receiving.cores import pinned, sender_and_receiver
from std_benchmarks.receiving.lossless_trials import LosslessTrials, Receiver
from std_benchmarks.receiving.rate_search import HighestRate, bisect, confirm, twice
from std_benchmarks.receiving.receiver_process import ReceiverProcess
from std_benchmarks.setting import Setting
from std_daq.errors import ResourceError

TRIAL_S = 1.0
CONFIRM_S = 60.0
N_STEPS = 5
STEP_DOWN = 0.95
N_ATTEMPTS = 8
N_SLOTS = 64
BUFFER_BYTES = 256 * 2**20
"""Enough for interruptions of 70 ms at 3.5 GB/s: machines without cores set apart have them."""


def measure(setting: Setting, confirm_s: float = CONFIRM_S) -> Iterator[Figure]:
    """Give the highest rate that holds for so many seconds."""
    sending_core, receiving_core = sender_and_receiver(setting.cores)
    frames = Frames(JUNGFRAU)
    # Whatever else this process does is not to disturb the receivers.
    with ExitStack() as stack:
        stack.enter_context(pinned(sending_core))
        ours = stack.enter_context(
            closing(
                ReceiverProcess(
                    frames,
                    setting.folder,
                    setting.shm,
                    n_slots=N_SLOTS,
                    buffer_bytes=BUFFER_BYTES,
                    core=receiving_core,
                )
            )
        )
        copying = stack.enter_context(
            closing(
                CopyingReceiver(
                    frames, setting.shm / "copying", n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES, core=receiving_core
                )
            )
        )

        def highest_rate(name: str, receiver: Receiver) -> HighestRate:
            trials = stack.enter_context(closing(LosslessTrials(receiver, frames, sending_core)))
            setting.progress(f"{name}: looking for the highest rate")
            found = bisect(twice(trials.lasting(TRIAL_S)), N_STEPS)
            setting.progress(f"{name}: {found.bytes_per_s / 1e9:.2f} GB/s for {TRIAL_S:g} s, now for {confirm_s:g} s")
            rate = confirm(twice(trials.lasting(confirm_s)), found, step=STEP_DOWN, n_attempts=N_ATTEMPTS)
            if not rate.bytes_per_s:
                raise ResourceError(f"{name} loses packets at any rate: the machine is busy otherwise")
            return rate

        rate = highest_rate("std-udp-recv", ours)
        copying_rate = highest_rate("receiver in C", copying)
        yield Figure(
            f"highest lossless rate over {confirm_s:g} s, JUNGFRAU",
            "GB/s",
            [rate.bytes_per_s / 1e9],
            "recvmmsg + memcpy in C",
            [copying_rate.bytes_per_s / 1e9],
            Target.at_least(1.2),
            {
                "sender_is_the_limit_of_ours": rate.is_sender_the_limit,
                "sender_is_the_limit_of_the_reference": copying_rate.is_sender_the_limit,
                "socket_buffer_bytes": copying.granted_bytes,
            },
        )
