"""The kernel for GPUs, compiled for a GPU that is not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from numba.cuda import codegen, dispatcher
from numba.cuda.typing.typeof import typeof

from std_daq.photons.cuda import launch
from std_daq.photons.geometry.records import Scene
from std_daq.photons.propagation.kernels import N_FIELDS, Photons


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """The kernel as the driver loads it.

    Parameters
    ----------
    ptx
        What the compiler made: text.
    cubin
        What the assembler made of it: machine code of one kind of GPU.
    """

    ptx: str
    cubin: bytes


def compiled_for(capability: tuple[int, int], scene: Scene) -> DeviceCode:
    """Return the kernel for GPUs of a compute capability, compiled as the engine does."""
    words = np.zeros((1, N_FIELDS), np.uint32)
    photons = Photons(
        words.view(np.float32), words, np.zeros(1, np.int32), np.zeros(1, np.uint64), np.zeros(1, np.uint32)
    )
    records = Scene._make(launch.with_attributes(array) for array in scene)
    arguments = (photons, np.zeros(1, np.int32), 1000, records)
    with _gpu(capability), launch.unfused():
        made = launch.kernel()
        compiled = dispatcher._Kernel(made.py_func, tuple(map(typeof, arguments)), **made.targetoptions)
        library = compiled._codelibrary
        return DeviceCode(library.get_asm_str(), bytes(library.get_cubin().code))


@contextmanager
def _gpu(capability: tuple[int, int]) -> Iterator[None]:
    """Let numba compile for a GPU of which it can only ask for the compute capability."""
    device: Any = SimpleNamespace(compute_capability=capability)
    with (
        patch.object(dispatcher, "get_current_device", lambda: device),
        patch.object(codegen.devices, "get_context", lambda: SimpleNamespace(device=device)),
    ):
        yield
