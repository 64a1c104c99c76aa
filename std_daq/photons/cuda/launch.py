"""Launch: the kernel on one GPU, with the scene in its memory."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.cudadrv import nvvm

from std_daq.photons.geometry.records import Scene
from std_daq.photons.propagation.device_functions import IS_SIMULATED
from std_daq.photons.propagation.device_kernels import THREADS_A_BLOCK, propagate_in_threads
from std_daq.photons.propagation.kernels import Photons

_BLOCKS_A_MULTIPROCESSOR = 16  # more than run at a time; a block that comes late finds that all photons are taken
# Optimisation while linking would fuse products and sums.
_OPTIONS: dict[str, Any] = {} if IS_SIMULATED else {"lto": False, "launch_bounds": THREADS_A_BLOCK}

_compiling = threading.Lock()


@functools.cache
def kernel() -> Any:
    """Return the kernel, which numba compiles for the arguments and the GPU of the first call."""
    return cuda.jit(**_OPTIONS)(propagate_in_threads)


@contextmanager
def unfused() -> Iterator[None]:
    """Let the compiler leave a product and a sum two operations, each of which is rounded.

    A fused operation rounds once, so hits would differ from those of a processor. Numba has no option for it.
    """
    if IS_SIMULATED:
        yield
        return
    with _compiling:
        compile_ir = nvvm.compile_ir
        nvvm.compile_ir = functools.partial(compile_ir, fma=False)
        try:
            yield
        finally:
            nvvm.compile_ir = compile_ir


class Launch:
    """The kernel and its scene on the GPU that is current.

    Parameters
    ----------
    scene
        Copied to the GPU.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = Scene._make(cuda.to_device(with_attributes(array)) for array in scene)
        device = cuda.get_current_device()
        self._n_blocks = _BLOCKS_A_MULTIPROCESSOR * getattr(device, "MULTIPROCESSOR_COUNT", 1)

    def __call__(self, photons: Photons, taken: Any, max_steps: int, stream: Any) -> None:
        """Propagate photons in the memory of the GPU; returns at once."""
        kernel()[self._n_blocks, THREADS_A_BLOCK, stream](photons, taken, max_steps, self._scene)


def with_attributes(array: Any) -> Any:
    """Return a view whose records have their fields as attributes, as the kernels read them, in the simulator too."""
    return array.view(np.recarray) if array.dtype.names else array
