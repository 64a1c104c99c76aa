"""The way of photons through a detector on a GPU; compiled for the device."""

from typing import Any

from numba import cuda, types

from std_daq.photons.geometry.records import MAX_STACK, N_CHILDREN, Scene
from std_daq.photons.propagation import kernels
from std_daq.photons.propagation.device_functions import for_device
from std_daq.photons.propagation.kernels import Photons
from std_daq.photons.propagation.tree_kernels import Scratch

THREADS_A_BLOCK = 64

_begin, _is_flying = for_device(kernels.begin), for_device(kernels.is_flying)
_step, _finish = for_device(kernels.step), for_device(kernels.finish)


def propagate_in_threads(photons: Photons, taken: Any, max_steps: int, scene: Scene) -> None:
    """Follow photons to their ends, each thread one after the other.

    All threads of a warp take a step together. One whose photon has ended takes the next photon instead of waiting for
    the longest way among them.

    Parameters
    ----------
    taken
        How many photons the threads have taken, shape (1,); zero at the beginning.
    """
    scratch = Scratch(
        cuda.local.array(MAX_STACK, types.int32),
        cuda.local.array(MAX_STACK, types.float32),
        cuda.local.array(N_CHILDREN, types.float32),
    )
    n = photons.channels.size
    row = cuda.atomic.add(taken, 0, 1)
    if row >= n:
        return
    flight = _begin(photons, row, scene)
    while True:
        if _is_flying(flight, max_steps):
            flight = _step(flight, scene, scratch)
        else:
            _finish(photons, row, flight)
            row = cuda.atomic.add(taken, 0, 1)
            if row >= n:
                return
            flight = _begin(photons, row, scene)
