"""CudaBackend: propagates photons on an NVIDIA GPU."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from std_daq.errors import DeviceError
from std_daq.photons.backend import Channels, Job
from std_daq.photons.batches import Ended, Filling, hits_of, part_of
from std_daq.photons.cuda.batch_memory import BYTES_A_PHOTON, BatchMemory
from std_daq.photons.cuda.device import device_errors
from std_daq.photons.cuda.launch import Launch, unfused
from std_daq.photons.geometry.records import Scene
from std_daq.photons.propagation.flag_constants import NAN_ABORT, NO_HIT
from std_daq.photons.propagation.kernels import NO_CHANNEL
from std_daq.photons.records import PHOTON

BATCH = 1 << 20
"""Photons that are propagated by one launch, at most."""

_MIN_ROOM = 1 << 12
_N_MEMORIES = 2  # one is filled and read while the photons of the other are propagated
_SHARE_OF_MEMORY = 0.8  # of what is free


class CudaBackend:
    """Propagates photons through one detector, on one GPU; several threads may use it.

    Photons of small jobs share a launch. The hits are those of `std_daq.photons.cpu.CpuBackend`, bit by bit.

    Parameters
    ----------
    seed
        0 to 2**63 - 1.
    device
        Which GPU, from 0; `std_daq.photons.cuda.device.check_device` says whether there is one.

    Attributes
    ----------
    gpu
        The name of the GPU.

    Raises
    ------
    DeviceError
        The kernel cannot be compiled for the GPU, or its memory is too small.
    """

    name = "cuda"

    def __init__(self, scene: Scene, channels: Channels, *, seed: int, max_steps: int, device: int = 0) -> None:
        self.channels = channels
        self.max_steps = max_steps
        self.device = device
        self._seed = seed
        self._memories: deque[BatchMemory] = deque()
        self.gpu = str(getattr(cuda.gpus[device], "name", "simulated"))
        with self._on_device("be prepared"), unfused():
            self._launch = Launch(scene)
            _check(self._launch)
            self._batch = _batch_in(cuda.current_context().get_memory_info().free)
        if self._batch < _MIN_ROOM:
            raise DeviceError(f"GPU {device} has no memory left for photons; `nvidia-smi` shows who uses it")

    def simulate(self, jobs: Sequence[Job]) -> list[NDArray[np.void]]:
        """Return for each job its hits, records of `HIT` in the order of their photons."""
        return hits_of(self.propagate(jobs), len(jobs))

    def propagate(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Return the photons of all jobs in batches, as they ended."""
        filling = Filling(jobs, self._seed)
        n_batches = -(-filling.n_photons // self._batch)
        with self._memory(min(_N_MEMORIES, n_batches), min(self._batch, filling.n_photons)) as free:
            under_way: deque[tuple[BatchMemory, list[tuple[int, int]]]] = deque()
            for pieces in filling.pieces(self._batch):
                if not free:
                    memory, ends = under_way.popleft()
                    yield self._ended(memory, ends)
                    free.append(memory)
                memory = free.popleft()
                ends = filling.fill(memory.here, pieces)
                with self._on_device("propagate"):
                    memory.start(self._launch, ends[-1][1], self.max_steps)
                under_way.append((memory, ends))
            for memory, ends in under_way:
                yield self._ended(memory, ends)

    def propagate_some(self, job: Job, numbers: NDArray[np.uint32], *, max_steps: int) -> NDArray[np.void]:
        """Return chosen photons of a job after some steps, or at their ends, in the order of ``numbers``."""
        found = [np.empty(0, PHOTON)]
        filling = Filling([job], self._seed)
        for first in range(0, len(numbers), self._batch):
            chosen = numbers[first : first + self._batch]
            with self._memory(1, len(chosen)) as (memory,):
                filling.fill_some(part_of(memory.here, 0, len(chosen)), chosen)
                with self._on_device("propagate"):
                    memory.start(self._launch, len(chosen), min(max_steps, self.max_steps))
                found.append(self._ended(memory, [(0, len(chosen))]).photons())
        return np.concatenate(found)

    def _ended(self, memory: BatchMemory, ends: list[tuple[int, int]]) -> Ended:
        with self._on_device("propagate"):
            memory.wait()
        n = ends[-1][1]
        return Ended(memory.here.words[:n], memory.here.channels[:n], ends)

    @contextmanager
    def _memory(self, n_memories: int, room: int) -> Iterator[deque[BatchMemory]]:
        """Lend memories for so many photons each; nobody else has them meanwhile."""
        with self._on_device("give memory"):
            memories = [self._free_memory(room) for _ in range(n_memories)]
        try:
            yield deque(memories)
        finally:
            with self._on_device("propagate"):
                for memory in memories:
                    memory.wait()
        self._memories.extend(memories)

    def _free_memory(self, room: int) -> BatchMemory:
        with suppress(IndexError):
            known = self._memories.pop()
            if known.room >= room:
                return known
        return BatchMemory(min(self._batch, max(_MIN_ROOM, 1 << (room - 1).bit_length())))

    @contextmanager
    def _on_device(self, doing: str) -> Iterator[None]:
        with device_errors(self.device, doing), cuda.gpus[self.device]:
            yield


def _check(launch: Launch) -> None:
    """Propagate a photon that is none: it compiles the kernel, and shows that driver, compiler and GPU fit together."""
    memory = BatchMemory(1)
    for array in memory.here:
        array[:] = 0
    memory.start(launch, 1, 1)
    memory.wait()
    if memory.here.channels[0] != NO_CHANNEL or memory.here.words[0, -1] != NO_HIT | NAN_ABORT:
        raise RuntimeError("a photon without direction did not end")


def _batch_in(free_bytes: float) -> int:
    """Return how many photons a batch has, if so much memory of the GPU is free."""
    return int(min(BATCH, _SHARE_OF_MEMORY * free_bytes / (_N_MEMORIES * BYTES_A_PHOTON)))
