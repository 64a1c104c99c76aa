"""ReaderProcesses: processes that each copy every image of a ring, woken by its doorbell."""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from std_benchmarks.scaling.image_ring import CopyingReader
from std_daq.streams.doorbell import Doorbell

_DEADLINE_S = 30.0


class Reading(NamedTuple):
    """What one reader has done: its CPU seconds, and the images that it read and lost."""

    cpu_s: float
    n_read: int
    n_lost: int


class ReaderProcesses:
    """Readers of one ring; they are started once, and those that are not asked to read sleep.

    Parameters
    ----------
    n
        Processes.
    path
        File of the ring.
    address
        Where its doorbell rings.
    """

    def __init__(self, n: int, path: Path, address: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends: list[Connection] = []
        self._processes = []
        for _ in range(n):
            ours, theirs = context.Pipe()
            process = context.Process(target=_read, args=(theirs, path, address), daemon=True)
            process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)
        for end in self._ends:
            self._receive(end)

    def begin(self, n_readers: int, n_images: int, ring_doorbell: Callable[[], None]) -> None:
        """Have the first so many read this many images from now on; returns when all hear the doorbell."""
        for end in self._ends[:n_readers]:
            end.send(n_images)
        for end in self._ends[:n_readers]:
            while not end.poll(0.01):
                ring_doorbell()
            self._receive(end)

    def finish(self, n_readers: int) -> list[Reading]:
        """Wait until they have read them."""
        return [Reading(*self._receive(end)) for end in self._ends[:n_readers]]

    def close(self) -> None:
        """End the processes."""
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.join(_DEADLINE_S)

    def _receive(self, end: Connection) -> tuple[float, int, int]:
        if not end.poll(_DEADLINE_S):
            raise AssertionError(f"a reader was blocked for {_DEADLINE_S} s")
        answer: tuple[float, int, int] = end.recv()
        return answer


def _read(end: Connection, path: Path, address: str) -> None:
    reader = CopyingReader(path)
    reader.touch()
    end.send((0.0, 0, 0))
    while True:
        try:
            n_images: int = end.recv()
        except EOFError:
            break
        reader.skip()  # what others were asked to read
        reader.n_read = reader.n_lost = 0
        # A reader that does not take part costs the writer nothing, so it does not listen either.
        doorbell = Doorbell(address)
        doorbell.wait(_DEADLINE_S)
        end.send((0.0, 0, 0))
        started = time.process_time()
        while reader.n_read + reader.n_lost < n_images:
            doorbell.wait(0.1)
            reader.read()
        end.send((time.process_time() - started, reader.n_read, reader.n_lost))
        doorbell.close()
    reader.close()
