"""RingReader: finds the images that the agent names in the ImageBuffer, and tells whether they stayed whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image_buffer import ImageBuffer, image_slot_dtype
from std_daq.native.atomics import is_unchanged, load_acquire


@dataclass(frozen=True, slots=True)
class RingImage:
    """One image of the run as it lies in the ring.

    Attributes
    ----------
    ring
        Where it lies.
    i_image
        Its place in the run, from 0 on.
    metadata
        Copy of its ImageMetadata, (1,).
    missing_packets
        Copy of the number of missing packets of each module, (n_modules,).
    pixels
        The ring's memory, (height, width); may be overwritten at any time.
    """

    ring: ImageBuffer
    i_image: int
    metadata: NDArray[Any]
    missing_packets: NDArray[np.uint32]
    pixels: NDArray[Any]
    slot: int
    generation: int

    @property
    def image_id(self) -> int:
        """The image's id."""
        return int(self.metadata["id"][0])

    @property
    def sequence(self) -> int:
        """Its place in the ring's journal."""
        return int(self.metadata["sequence"][0])

    def is_whole(self) -> bool:
        """Return whether all that was read of the image up to now belongs to it."""
        return self.ring.is_unchanged(self.slot, self.generation)


class RingReader:
    """The writer's view of the ImageBuffer, which may come later than the writer and may be replaced.

    Parameters
    ----------
    path
        Path of the ring.
    """

    def __init__(self, path: Path) -> None:
        _compile()
        self._path = path
        self._ring: ImageBuffer | None = None

    @property
    def is_current(self) -> bool:
        """Whether a ring is attached that has been neither replaced nor removed."""
        return self._ring is not None and self._ring.is_live

    def attach(self) -> bool:
        """Attach to the ring that is there now, if any; no image of an earlier one may be in use."""
        try:
            ring = ImageBuffer.attach(self._path)
        except SharedMemoryError:
            return False
        if not ring.is_live:
            ring.close()
            return False
        self.close()
        self._ring = ring
        return True

    def find(self, store_image: NDArray[Any]) -> RingImage | None:
        """Return the image of a STORE_IMAGE struct of shape (1,), or None where it is not in the ring (any more)."""
        ring = self._ring
        if ring is None:
            return None
        wanted = store_image["metadata"][0]
        slot = ring.slot(int(wanted["sequence"]))
        generation = ring.generation(slot)
        # The bytes as they are: numpy copies a struct with gaps field by field, in ten times the time.
        header = np.frombuffer(ring.headers[slot : slot + 1].tobytes(), ring.headers.dtype)
        metadata = header["metadata"]
        image = RingImage(
            ring=ring,
            i_image=int(store_image["i_image"][0]),
            metadata=metadata,
            missing_packets=header["missing_packets"][0],
            pixels=ring.images[slot],
            slot=slot,
            generation=generation,
        )
        is_the_one = metadata["sequence"][0] == wanted["sequence"] and metadata["id"][0] == wanted["id"]
        return image if is_the_one and image.is_whole() else None

    def lag(self, sequence: int) -> int:
        """Return how many images have been published after the one with this sequence number."""
        return 0 if self._ring is None else max(0, self._ring.journal.next_sequence - sequence - 1)

    def close(self) -> None:
        """Let go of the ring."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None


def _compile() -> None:
    """Compile what is called for each image, before the first one has to wait for it."""
    headers = np.zeros(1, image_slot_dtype(1))
    control = np.zeros(1, np.uint64)
    headers.setflags(write=False)
    control.setflags(write=False)
    load_acquire(headers["generation"], 0)
    is_unchanged(headers["generation"], 0, 0)
    load_acquire(control, 0)
