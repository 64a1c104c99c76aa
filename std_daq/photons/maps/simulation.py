"""Simulates blocks of photons on this machine or by a farm, with the same hits to the bit."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import SimulationError
from std_daq.photons.backend import Backend, Channels, Job
from std_daq.photons.maps.light import Block, VoxelLight
from std_daq.photons.protocol import digest_of, job_key, photon_request
from std_daq.photons.replies import Accepted, EventReply
from std_daq.photons.sim_client import SimClient, hits_of

Simulated: TypeAlias = tuple[Block, NDArray[np.void]]
Simulate: TypeAlias = Callable[[Iterable[Block]], Iterator[Simulated]]
"""Yields the hits of each block, in any order."""

_BLOCKS_A_BATCH = 32  # enough photons for many threads or a GPU
_PROBE_PHOTONS = 2000


def simulate_here(light: VoxelLight, backend: Backend, blocks: Iterable[Block]) -> Iterator[Simulated]:
    """Simulate blocks with an engine of this process, many at a time."""
    rest = iter(blocks)

    def prepare() -> tuple[list[Block], list[Job]]:
        taken = list(islice(rest, _BLOCKS_A_BATCH))
        return taken, [_job(block, light.photons(block)) for block in taken]

    # The photons of the next batch are made while the engine has this one.
    with ThreadPoolExecutor(1, "voxel-light") as preparing:
        following = preparing.submit(prepare)
        while True:
            taken, jobs = following.result()
            if not taken:
                return
            following = preparing.submit(prepare)
            yield from zip(taken, backend.simulate(jobs), strict=True)


def simulate_by_farm(
    light: VoxelLight, client: SimClient, n_in_flight: int, blocks: Iterable[Block]
) -> Iterator[Simulated]:
    """Simulate blocks by the workers of a farm, or by a standalone worker.

    Raises
    ------
    SimulationError
        A job cannot be simulated, the farm is away for too long, or it writes hits to files.
    """
    pending: dict[Future[EventReply], Block] = {}
    for block in blocks:
        pending[client.submit(light.photons(block), block.voxel)] = block
        if len(pending) >= 2 * n_in_flight:
            yield from _answered(pending)
    while pending:
        yield from _answered(pending)


def check_farm(light: VoxelLight, client: SimClient, backend: Backend) -> None:
    """Check that a farm gives the hits that this machine gives; other geometries, seeds and engines do not.

    Raises
    ------
    SimulationError
        The farm has other channels, or other hits.
    """
    channels = client.detector_info()
    if not _are_same(channels, backend.channels):
        raise SimulationError(
            f"the workers have another geometry: theirs has {len(channels.types)} channels, "
            f"this one {len(backend.channels.types)}, or they are elsewhere; give the geometry file of the workers"
        )
    block = Block(light.grid.n_voxels // 2, 0, _PROBE_PHOTONS)
    photons = light.photons(block)
    (expected,) = backend.simulate([_job(block, photons)])
    if _hits(client.submit(photons, block.voxel).result()).tobytes() != expected.tobytes():
        raise SimulationError(
            "the workers give other hits than this machine for the same photons: "
            "their geometry, --seed or engine is another; give their geometry file, and their seed as --worker-seed"
        )


def _are_same(one: Channels, other: Channels) -> bool:
    return np.array_equal(one.positions, other.positions) and np.array_equal(one.types, other.types)


def _job(block: Block, photons: NDArray[np.void]) -> Job:
    """Return the job that a worker makes of the request for a block."""
    return Job(job_key(digest_of(photon_request(block.voxel, photons))), photons)


def _answered(pending: dict["Future[EventReply]", Block]) -> Iterator[Simulated]:
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        yield pending.pop(future), _hits(future.result())


def _hits(reply: EventReply) -> NDArray[np.void]:
    if isinstance(reply, Accepted):
        raise SimulationError("the worker writes hits to files of its own; start it without --async to make a map")
    return hits_of(reply)
