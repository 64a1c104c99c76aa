"""Jobs in batches: photons of many small jobs together, those of a large one in parts."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.backend import Backend, Job
from std_daq.photons.propagation.kernels import N_FIELDS, NO_CHANNEL, Photons
from std_daq.photons.records import HIT, NO_HITS, PHOTON

_COLUMNS = [list(PHOTON.fields or ()).index(name) for name in list(HIT.fields or ())[1:]]  # of a hit, without channel

Pieces = list[tuple[int, int, int]]
"""What a batch holds: job, and the photons of it, end excluded."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A batch of photons that came to their ends; its memory is that of a later batch.

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


class Propagator(Backend, Protocol):
    """A backend that also tells how photons ended, whether they were detected or not."""

    max_steps: int

    def propagate(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Return the photons of all jobs in batches, as they ended."""

    def propagate_some(self, job: Job, numbers: NDArray[np.uint32], *, max_steps: int) -> NDArray[np.void]:
        """Return chosen photons of a job after some steps, or at their ends, in the order of ``numbers``."""


class Filling:
    """Puts the photons of jobs into the memory of batches.

    Parameters
    ----------
    seed
        0 to 2**63 - 1.
    """

    def __init__(self, jobs: Sequence[Job], seed: int) -> None:
        self._rows = [_words(job.photons) for job in jobs]
        self._keys = [_random_key(seed, job.key) for job in jobs]

    @property
    def n_photons(self) -> int:
        """Number of photons of all jobs."""
        return sum(map(len, self._rows))

    def pieces(self, room: int) -> Iterator[Pieces]:
        """Return what each batch holds, if it has room for so many photons."""
        pieces: Pieces = []
        left = room
        for job, rows in enumerate(self._rows):
            begin = 0
            while begin < len(rows):
                end = min(begin + left, len(rows))
                pieces.append((job, begin, end))
                left -= end - begin
                begin = end
                if left == 0:
                    yield pieces
                    pieces, left = [], room
        if pieces:
            yield pieces

    def fill(self, photons: Photons, pieces: Pieces) -> list[tuple[int, int]]:
        """Put a batch into memory; returns the jobs, and where their photons end in it."""
        ends: list[tuple[int, int]] = []
        at = 0
        for job, begin, end in pieces:
            taken = slice(at, at + end - begin)
            photons.words[taken] = self._rows[job][begin:end]
            photons.keys[taken] = self._keys[job]
            photons.numbers[taken] = np.arange(begin, end, dtype=np.uint32)
            at = taken.stop
            ends.append((job, at))
        return ends

    def fill_some(self, photons: Photons, numbers: NDArray[np.uint32]) -> None:
        """Put chosen photons of the first job into memory."""
        photons.words[:] = self._rows[0][numbers]
        photons.keys[:] = self._keys[0]
        photons.numbers[:] = numbers


def part_of(photons: Photons, begin: int, end: int) -> Photons:
    """Return a part of the memory of a batch, end excluded."""
    return Photons._make(array[begin:end] for array in photons)


def hits_of(batches: Iterable[Ended], n_jobs: int) -> list[NDArray[np.void]]:
    """Return the hits of each job, records of `HIT` in the order of their photons."""
    hits: list[list[NDArray[np.void]]] = [[] for _ in range(n_jobs)]
    for ended in batches:
        for job, found in ended.hits():
            hits[job].append(found)
    return [np.concatenate(found) if found else NO_HITS for found in hits]


def _random_key(seed: int, key: int) -> int:
    """Return the key of the random numbers of a job: 64 bits of a hash of seed and job."""
    given = seed.to_bytes(8, "little", signed=False) + (key % 2**64).to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(given, digest_size=8).digest(), "little")


def _words(photons: NDArray[np.void]) -> NDArray[np.uint32]:
    """Return photons as rows of numbers, which numpy copies much faster than records."""
    return np.ascontiguousarray(photons, PHOTON).view(np.uint32).reshape(len(photons), N_FIELDS)
