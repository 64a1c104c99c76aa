"""TcpCopy: one TCP socket, from memory of one ring into memory of another."""

import ctypes
import os

import numpy as np
from numpy.typing import NDArray

from std_benchmarks import reference


class TcpCopy:
    """The reference in C: two threads, one socket, no word about what is copied.

    Parameters
    ----------
    near
        What is sent, slot by slot, uint8 (n_slots, image_bytes) in shared memory.
    far
        Where it goes, of the same shape and strides.

    Attributes
    ----------
    cpu_seconds
        CPU time of both sides in the last turn.
    """

    def __init__(self, near: NDArray[np.uint8], far: NDArray[np.uint8]) -> None:
        self._near, self._far = near, far
        self._copy = reference.load("tcp_copy").tcp_copy
        self._copy.argtypes = (
            *(reference.POINTER,) * 2,
            *(reference.SIZE,) * 4,
            *(ctypes.POINTER(ctypes.c_double),) * 2,
        )
        self.cpu_seconds = 0.0

    def copy(self, n_images: int) -> float:
        """Copy images; returns the seconds."""
        wall, cpu = ctypes.c_double(), ctypes.c_double()
        n_slots, image_bytes = self._near.shape
        error = self._copy(
            self._far.ctypes.data,
            self._near.ctypes.data,
            self._near.strides[0],
            image_bytes,
            n_slots,
            n_images,
            ctypes.byref(wall),
            ctypes.byref(cpu),
        )
        if error:
            raise OSError(error, os.strerror(error))
        n_checked = min(n_slots, n_images)
        if not np.array_equal(self._near[:n_checked], self._far[:n_checked]):
            raise AssertionError("the copy differs")
        self.cpu_seconds = cpu.value
        return wall.value
