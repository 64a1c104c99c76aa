"""LosslessTrials: sends to a receiver for a while, and tells whether all has arrived."""

import threading
import time
from functools import partial
from typing import Protocol

from std_benchmarks.receiving.camera import Camera, Frames, Sent
from std_benchmarks.receiving.kernel_drops import kernel_drops
from std_benchmarks.receiving.rate_search import Attempt, Trial

# Bursts of a few segmented messages: a rate is kept within a frame, too.
PACKETS_PER_BURST = 28
# More than any sender reaches.
_NO_RATE = 30e9
_LOOK_S = 0.1


class Receiver(Protocol):
    """What is tried."""

    port: int

    def begin(self) -> None:
        """Begin a trial: what was sent before has been received or lost."""

    def end(self, sent: Sent) -> bool:
        """End a trial; returns whether all that was sent in it has arrived.

        Raises
        ------
        AssertionError
            All has arrived, and it is not what was sent.
        """


class LosslessTrials:
    """Trials of one receiver behind a segmenting sender.

    Parameters
    ----------
    receiver
        What is tried.
    frames
        What is sent.
    core
        CPU on which it is sent.
    """

    def __init__(self, receiver: Receiver, frames: Frames, core: int) -> None:
        self._receiver = receiver
        self._frames = frames
        self._camera = Camera(frames, receiver.port, segments=True, packets_per_burst=PACKETS_PER_BURST, core=core)

    def lasting(self, seconds: float) -> Attempt:
        """Return trials that last so long, unless the kernel drops a packet: then they end at once."""
        return partial(self._attempt, seconds)

    def close(self) -> None:
        """Let go of the sender."""
        self._camera.close()

    def _attempt(self, seconds: float, rate: float | None) -> Trial:
        n_frames = int(seconds * (rate or _NO_RATE) / self._frames.bytes_per_frame)
        self._receiver.begin()
        drops = kernel_drops(self._receiver.port)
        has_ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(time.monotonic() + seconds, drops, has_ended))
        watcher.start()
        try:
            sent = self._camera.send(n_frames, rate)
        finally:
            has_ended.set()
            watcher.join()
        has_all = self._receiver.end(sent)
        return Trial(sent.bytes_per_s, has_all and kernel_drops(self._receiver.port) == drops)

    def _watch(self, deadline: float, drops: int, has_ended: threading.Event) -> None:
        while not has_ended.wait(_LOOK_S):
            if time.monotonic() > deadline or kernel_drops(self._receiver.port) != drops:
                self._camera.stop()
