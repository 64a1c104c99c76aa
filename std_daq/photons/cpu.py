"""The engine on processor cores."""

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.backend import Channels, Job
from std_daq.photons.geometry.records import MAX_STACK, N_CHILDREN, Scene
from std_daq.photons.propagation.kernels import N_FIELDS, NO_CHANNEL, Photons, propagate
from std_daq.photons.propagation.tree_kernels import Scratch
from std_daq.photons.records import HIT, PHOTON

BATCH = 1 << 16
"""Photons that are in memory a second time while they are propagated; few, so that they stay in the caches."""

_COLUMNS = [list(PHOTON.fields or ()).index(name) for name in list(HIT.fields or ())[1:]]  # of a hit, without channel
_MIN_CHUNK = 256
_CHUNKS_A_THREAD = 16  # the last thread to end works alone for a 16th of its time at most


def random_key(seed: int, key: int) -> int:
    """Return the key of the random numbers of a job: 64 bits of a hash of seed and job."""
    given = seed.to_bytes(8, "little", signed=False) + (key % 2**64).to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(given, digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class Ended:
    """A batch of photons that came to their ends; its memory is that of the next batch.

    Parameters
    ----------
    words
        The photons as they ended, rows of `N_FIELDS` numbers.
    channels
        The channel that detected each, or -1.
    ends
        The jobs in this batch: index of the job, and where its photons end in the batch.
    """

    words: NDArray[np.uint32]
    channels: NDArray[np.int32]
    ends: list[tuple[int, int]]

    def photons(self) -> NDArray[np.void]:
        """Return the photons, records of `PHOTON`."""
        return self.words.copy().view(PHOTON)[:, 0]

    def hits(self) -> Iterator[tuple[int, NDArray[np.void]]]:
        """Return the hits of each job, records of `HIT` in the order of their photons."""
        begin = 0
        for job, end in self.ends:
            detected = np.flatnonzero(self.channels[begin:end] != NO_CHANNEL) + begin
            hits = np.empty((len(detected), 1 + len(_COLUMNS)), np.uint32)
            hits[:, 0] = self.channels[detected]
            hits[:, 1:] = np.take(self.words, detected, axis=0)[:, _COLUMNS]
            yield job, hits.view(HIT)[:, 0]
            begin = end


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
        hits: list[list[NDArray[np.void]]] = [[] for _ in jobs]
        for ended in self.propagate(jobs):
            for job, found in ended.hits():
                hits[job].append(found)
        return [np.concatenate(found) if found else np.empty(0, HIT) for found in hits]

    def propagate(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Return the photons of all jobs in batches, as they ended."""
        rows = [_words(job.photons) for job in jobs]
        room = _room(min(BATCH, sum(map(len, rows))))
        for pieces in _batches(jobs):
            ends: list[tuple[int, int]] = []
            at = 0
            for job, begin, end in pieces:
                taken = slice(at, at + end - begin)
                room.words[taken] = rows[job][begin:end]
                room.keys[taken] = random_key(self._seed, jobs[job].key)
                room.numbers[taken] = np.arange(begin, end, dtype=np.uint32)
                at = taken.stop
                ends.append((job, at))
            batch = Photons._make(array[:at] for array in room)
            self._run(batch, self.max_steps)
            yield Ended(batch.words, batch.channels, ends)

    def propagate_some(self, job: Job, numbers: NDArray[np.uint32], *, max_steps: int) -> NDArray[np.void]:
        """Return chosen photons of a job after some steps, or at their ends, in the order of ``numbers``."""
        room = _room(len(numbers))
        room.words[:] = _words(job.photons)[numbers]
        room.keys[:] = random_key(self._seed, job.key)
        room.numbers[:] = numbers
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


def _words(photons: NDArray[np.void]) -> NDArray[np.uint32]:
    """Return photons as rows of numbers, which numpy copies much faster than records."""
    return np.ascontiguousarray(photons, PHOTON).view(np.uint32).reshape(len(photons), N_FIELDS)


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


def _batches(jobs: Sequence[Job]) -> Iterator[list[tuple[int, int, int]]]:
    """Return pieces of jobs, (job, begin, end), that together are at most `BATCH` photons."""
    pieces: list[tuple[int, int, int]] = []
    room = BATCH
    for job, given in enumerate(jobs):
        begin = 0
        while begin < len(given.photons):
            end = min(begin + room, len(given.photons))
            pieces.append((job, begin, end))
            room -= end - begin
            begin = end
            if room == 0:
                yield pieces
                pieces, room = [], BATCH
    if pieces:
        yield pieces
