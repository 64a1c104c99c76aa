"""Announcements: when a subscriber hears of each frame."""

import os
import threading
import time
from typing import Self

import numpy as np
import zmq
from numpy.typing import NDArray

from std_benchmarks.receiving.settling import is_reached
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA

_POLL_MS = 50


class Announcements:
    """Listens at a receiver's doorbell in a thread of its own; a context manager.

    Parameters
    ----------
    address
        Where the receiver announces frames.
    core
        CPU on which it listens.
    """

    def __init__(self, address: str, *, core: int) -> None:
        self._address = address
        self._core = core
        self._heard: list[tuple[int, bytes]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="announcements")

    def wait_for(self, n: int) -> bool:
        """Wait until so many have been heard since the last `take`; returns whether, within a second."""
        return is_reached(lambda: len(self._heard) >= n)

    def take(self) -> tuple[NDArray[np.int64], NDArray[np.void]]:
        """Return when each was heard (CLOCK_MONOTONIC, ns), and what it said (RawMetadata); forgets them."""
        heard, self._heard = self._heard, []
        times = np.array([time_ns for time_ns, _ in heard], np.int64)
        return times, np.frombuffer(b"".join(message for _, message in heard), RAW_METADATA)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()

    def _listen(self) -> None:
        os.sched_setaffinity(0, {self._core})
        with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
            subscriber.setsockopt(zmq.RCVHWM, 0)
            subscriber.subscribe(b"")
            subscriber.connect(self._address)
            while not self._end.is_set():
                if subscriber.poll(_POLL_MS):
                    message = subscriber.recv()
                    self._heard.append((time.monotonic_ns(), message))
