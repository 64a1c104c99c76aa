"""An ImageBuffer with one writer, and what a reader does with it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.buffers.image_reader import ImageReader
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY

# Larger than the last level of any cache here, so that every image is read from memory, whatever its size.
_SOURCE_BYTES = 96 * 2**20


class ImageWriter:
    """Writes images of 16 bits as the assembler does, from arrays that are in no cache.

    Parameters
    ----------
    path
        File of the ring; made, or taken over.
    shape
        Height and width.
    n_slots
        Slots.

    Attributes
    ----------
    image_bytes
        Bytes of an image.
    is_new
        Whether the ring was not there before.
    """

    def __init__(self, path: Path, shape: tuple[int, int], n_slots: int) -> None:
        self.ring, self.is_new = ImageBuffer.create(
            path, shape=shape, dtype=np.dtype("u2"), n_modules=1, buffer_bytes=0, n_slots=n_slots
        )
        self.n_slots = n_slots
        self.image_bytes = 2 * shape[0] * shape[1]
        n_sources = max(2, _SOURCE_BYTES // self.image_bytes)
        self._sources = np.ones((n_sources, *shape), np.uint16)
        self._metadata = np.zeros(1, IMAGE_METADATA)

    def write(self, n: int) -> None:
        """Publish images; the corners of each tell which it is."""
        for _ in range(n):
            self.write_one()

    def write_one(self) -> NDArray[Any]:
        """Publish an image; returns its ImageMetadata, which is the same array each time."""
        ring, metadata = self.ring, self._metadata
        sequence = ring.journal.next_sequence
        slot = ring.slot(sequence)
        source = self._sources[sequence % len(self._sources)]
        source[0, 0] = source[-1, -1] = sequence % 2**16
        ring.begin(slot)
        ring.images[slot] = source
        metadata["id"] = metadata["frame_index"] = metadata["sequence"] = sequence
        ring.headers["metadata"][slot] = metadata[0]
        ring.headers["modules"][slot] = np.zeros((), MODULE_ENTRY)
        ring.end(slot)
        ring.journal.append(metadata)
        return metadata

    def close(self) -> None:
        """Let go of the ring."""
        self.ring.close()


class CopyingReader:
    """Copies each image out of the ring, in order.

    Parameters
    ----------
    path
        File of the ring.

    Attributes
    ----------
    n_read, n_lost
        Images that were copied whole; images that were overwritten before or meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._images = ImageReader(path, start="oldest", copy=False)
        ring = self._images.ring
        if ring is None:
            raise AssertionError(f"{path} is not there")
        self._ring = ring
        self._copy = np.empty(ring.shape, ring.dtype)
        self.n_read = 0
        self.n_lost = 0

    def touch(self) -> None:
        """Use every page once."""
        self._ring.segment.bytes[:: 2**12].max()

    def read(self) -> None:
        """Read what is there; raises AssertionError for an image that is not what its metadata say."""
        n_before = self._images.lost.n
        while (image := self._images.next(timeout_s=0.0)) is not None:
            self._read_one(image)
        self.n_lost += self._images.lost.n - n_before

    def skip(self) -> None:
        """Leave out what is there."""
        self._images.skip()

    def close(self) -> None:
        """Let go of the ring."""
        del self._ring
        self._images.close()

    def _read_one(self, image: Image) -> None:
        if image.copy(self._copy) is None:
            self.n_lost += 1
            return
        corner = image.sequence % 2**16
        if self._copy[0, 0] != corner or self._copy[-1, -1] != corner:
            raise AssertionError(f"image {image.sequence} is torn")
        self.n_read += 1
