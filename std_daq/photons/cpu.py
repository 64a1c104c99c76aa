"""The engine on processor cores."""

import os
import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.backend import Channels, Job
from std_daq.photons.batches import Ended, Filling, hits_of, part_of
from std_daq.photons.geometry.records import MAX_STACK, N_CHILDREN, Scene
from std_daq.photons.propagation.kernels import N_FIELDS, Photons, propagate
from std_daq.photons.propagation.tree_kernels import Scratch
from std_daq.photons.records import PHOTON

BATCH = 1 << 16
"""Photons that are in memory a second time while they are propagated; few, so that they stay in the caches."""

_MIN_CHUNK = 256
_CHUNKS_A_THREAD = 16  # the last thread to end works alone for a 16th of its time at most


class CpuBackend:
    """Propagates photons through one detector, on some threads.

    Parameters
    ----------
    seed
        0 to 2**63 - 1.
    n_threads
        None: as many as this process may use cores.
    """

    name = "cpu"

    def __init__(
        self, scene: Scene, channels: Channels, *, seed: int, max_steps: int, n_threads: int | None = None
    ) -> None:
        self.channels = channels
        self.n_threads = n_threads or len(os.sched_getaffinity(0))
        self._scene = _read_only(scene)
        self._seed = seed
        self.max_steps = max_steps

    def simulate(self, jobs: Sequence[Job]) -> list[NDArray[np.void]]:
        """Return for each job its hits, records of `HIT` in the order of their photons."""
        return hits_of(self.propagate(jobs), len(jobs))

    def propagate(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Return the photons of all jobs in batches, as they ended."""
        filling = Filling(jobs, self._seed)
        room = _room(min(BATCH, filling.n_photons))
        for pieces in filling.pieces(BATCH):
            ends = filling.fill(room, pieces)
            batch = part_of(room, 0, ends[-1][1])
            self._run(batch, self.max_steps)
            yield Ended(batch.words, batch.channels, ends)

    def propagate_some(self, job: Job, numbers: NDArray[np.uint32], *, max_steps: int) -> NDArray[np.void]:
        """Return chosen photons of a job after some steps, or at their ends, in the order of ``numbers``."""
        room = _room(len(numbers))
        Filling([job], self._seed).fill_some(room, numbers)
        self._run(room, min(max_steps, self.max_steps))
        return room.words.view(PHOTON)[:, 0]

    def _run(self, photons: Photons, max_steps: int) -> None:
        n = len(photons.channels)
        n_threads = min(self.n_threads, -(-n // _MIN_CHUNK))
        if n_threads == 1:
            propagate(photons, 0, n, max_steps, self._scene, _scratch())
            return
        chunk = max(_MIN_CHUNK, n // (n_threads * _CHUNKS_A_THREAD))
        chunks = iter(range(0, n, chunk))
        failures: list[BaseException] = []

        def work() -> None:
            scratch = _scratch()
            try:
                # A step of an iterator over a range is atomic: each chunk goes to one thread.
                for begin in chunks:
                    propagate(photons, begin, min(begin + chunk, n), max_steps, self._scene, scratch)
            except BaseException as error:  # noqa: BLE001 -- raised again below, in the thread that asked
                failures.append(error)

        threads = [threading.Thread(target=work, name=f"photons-{i}") for i in range(1, n_threads)]
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


def _room(n: int) -> Photons:
    """Return memory for a batch."""
    words = np.empty((n, N_FIELDS), np.uint32)
    keys, numbers = np.empty(n, np.uint64), np.empty(n, np.uint32)
    return Photons(words.view(np.float32), words, np.empty(n, np.int32), keys, numbers)


def _scratch() -> Scratch:
    """Return the memory that a thread needs beside the photons."""
    return Scratch(np.empty(MAX_STACK, np.int32), np.empty(MAX_STACK, np.float32), np.empty(N_CHILDREN, np.float32))


def _read_only(scene: Scene) -> Scene:
    """Return views that nobody can write to: threads share them."""
    views = [array.view() for array in scene]
    for view in views:
        view.flags.writeable = False
    return Scene._make(views)
