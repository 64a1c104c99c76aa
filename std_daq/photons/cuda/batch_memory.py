"""Memory for a batch of photons, here and on the GPU, and the stream in which they are copied and propagated."""

from typing import Any

import numpy as np
from numba import cuda

from std_daq.photons.cuda.launch import Launch
from std_daq.photons.propagation.kernels import N_FIELDS, Photons

BYTES_A_PHOTON = 4 * N_FIELDS + 4 + 8 + 4


class BatchMemory:
    """Memory for a batch; the GPU must be current where it is made and used.

    Copies of one memory are under way while photons of another are propagated. So its side on this machine is
    page-locked.

    Parameters
    ----------
    room
        The number of photons.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        words = cuda.pinned_array((room, N_FIELDS), np.uint32)
        self.here = Photons(
            words.view(np.float32),
            words,
            cuda.pinned_array(room, np.int32),
            cuda.pinned_array(room, np.uint64),
            cuda.pinned_array(room, np.uint32),
        )
        self._there = [cuda.device_array(array.shape, array.dtype) for array in self.here[1:]]
        self._taken = cuda.device_array(1, np.int32)
        self._zero = cuda.pinned_array(1, np.int32)
        self._zero[0] = 0
        self._stream = cuda.stream()

    def start(self, launch: Launch, n: int, max_steps: int) -> None:
        """Begin to propagate the first ``n`` photons."""
        words, channels, keys, numbers = (array[:n] for array in self._there)
        brought: list[tuple[Any, Any]] = [
            (words, self.here.words),
            (keys, self.here.keys),
            (numbers, self.here.numbers),
        ]
        there = Photons(words.view(np.float32), words, channels, keys, numbers)
        for array, here in brought:
            array.copy_to_device(here[:n], stream=self._stream)
        self._taken.copy_to_device(self._zero, stream=self._stream)
        launch(there, self._taken, max_steps, self._stream)
        words.copy_to_host(self.here.words[:n], stream=self._stream)
        channels.copy_to_host(self.here.channels[:n], stream=self._stream)

    def wait(self) -> None:
        """Wait until photons and channels are here again."""
        self._stream.synchronize()
