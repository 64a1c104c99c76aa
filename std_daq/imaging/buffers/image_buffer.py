"""ImageBuffer: the ring of assembled images with their metadata, which all services downstream read."""

import struct
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.buffers.image import Image
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, dtype_code, dtype_of_code
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.shm.entry_ring import EntryRing
from std_daq.shm.ring import RingGeometry, attach_ring, create_ring
from std_daq.shm.segment import PAGE, Segment

MIN_SLOTS = 4
MIN_ENTRIES = 65536
ENTRIES_PER_SLOT = 4
SIZE_KEY = "ram_buffer_gb"
_METADATA_AT = 64  # not on the cache line of the generation
_FORM_AND_SEQUENCE = struct.Struct("<16x2QH22xQ")  # height, width, dtype and sequence of an ImageMetadata
NO_IMAGE = 2**64 - 1
"""Sequence in the header of a slot without an image: its image is being written, or was given up."""


def image_slot_dtype(n_modules: int) -> np.dtype[Any]:
    """Return the dtype of the header of a slot: generation, metadata, and an entry for each module."""
    return np.dtype(
        {
            "names": ["generation", "metadata", "modules"],
            "formats": ["<u8", IMAGE_METADATA, (MODULE_ENTRY, (n_modules,))],
            "offsets": [0, _METADATA_AT, _METADATA_AT + IMAGE_METADATA.itemsize],
            "itemsize": _METADATA_AT + IMAGE_METADATA.itemsize + n_modules * MODULE_ENTRY.itemsize,
        }
    )


class ImageBuffer(EntryRing[Image]):
    """A ring of images.

    Attributes
    ----------
    images
        Pixels of all slots, (n_slots, height, width).
    frame_index_step
        Difference between the frame indices of consecutive images.
    """

    def __init__(self, segment: Segment, geometry: RingGeometry) -> None:
        super().__init__(segment, geometry, image_slot_dtype(geometry.attributes["n_modules"]), IMAGE_METADATA)
        height, width = geometry.attributes["shape"]
        self.shape: tuple[int, int] = (height, width)
        self.dtype = dtype_of_code(geometry.attributes["dtype"])
        self._form = (height, width, geometry.attributes["dtype"])
        self.n_modules: int = geometry.attributes["n_modules"]
        self.frame_index_step: int = geometry.attributes.get("frame_index_step", 1)
        self._sequences: NDArray[np.uint64] = self.headers["metadata"]["sequence"]
        self._empty_header["metadata"]["sequence"] = NO_IMAGE
        self._header_bytes: memoryview = self.headers.view(np.uint8).data
        # Much faster than access by the names of the fields.
        self._header_struct = struct.Struct(f"<{IMAGE_METADATA.itemsize}s{self.n_modules * MODULE_ENTRY.itemsize}s")
        self.images: NDArray[Any] = np.ndarray(
            (geometry.n_slots, height, width),
            self.dtype,
            buffer=segment.bytes.data,
            offset=geometry.offsets()["data"],
            strides=(geometry.data_stride, width * self.dtype.itemsize, self.dtype.itemsize),
        )

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        n_modules: int,
        buffer_bytes: int,
        n_slots: int | None = None,
        frame_index_step: int = 1,
    ) -> tuple[Self, bool]:
        """Create the ring, or take it over after a restart; returns the ring and whether it is new.

        The parameters and the ConfigError are those of `plan`.

        Raises
        ------
        SharedMemoryError
            The memory cannot be allocated.
        """
        geometry = cls.plan(
            shape=shape,
            dtype=dtype,
            n_modules=n_modules,
            buffer_bytes=buffer_bytes,
            n_slots=n_slots,
            frame_index_step=frame_index_step,
        )
        return cls.create_planned(path, geometry)

    @classmethod
    def create_planned(cls, path: Path, geometry: RingGeometry) -> tuple[Self, bool]:
        """Do the same with a geometry of `plan`."""
        return create_ring(path, geometry, cls, size_key=SIZE_KEY)

    @staticmethod
    def plan(
        *,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        n_modules: int,
        buffer_bytes: int,
        n_slots: int | None = None,
        frame_index_step: int = 1,
    ) -> RingGeometry:
        """Return the geometry of the ring.

        Parameters
        ----------
        shape, dtype
            Height and width of an image, and the type of a pixel.
        n_modules
            Number of modules, each of which has an entry in the header of a slot.
        buffer_bytes
            Memory for the pixels; it gives the number of slots if ``n_slots`` is None.
        frame_index_step
            Difference between the frame indices of consecutive images: more than 1 if several servers share the images.

        Raises
        ------
        ConfigError
            The memory is too small for the smallest number of slots.
        """
        image_bytes = shape[0] * shape[1] * np.dtype(dtype).itemsize
        slot_bytes = -(-image_bytes // PAGE) * PAGE
        n_slots = n_slots or buffer_bytes // slot_bytes
        if n_slots < MIN_SLOTS:
            raise ConfigError(
                f"this holds {n_slots} images of {image_bytes / 1e6:.1f} MB, at least {MIN_SLOTS} are needed",
                key=SIZE_KEY,
                value=buffer_bytes / 1e9,
                remedy=f"set it to {MIN_SLOTS * slot_bytes / 1e9:.3f} or more",
            )
        return RingGeometry(
            kind="images",
            n_slots=n_slots,
            n_parts=1,
            data_bytes=image_bytes,
            header_bytes=image_slot_dtype(n_modules).itemsize,
            n_journals=1,
            n_entries=max(MIN_ENTRIES, n_slots * ENTRIES_PER_SLOT),
            entry_bytes=IMAGE_METADATA.itemsize,
            attributes={
                "shape": list(shape),
                "dtype": dtype_code(dtype),
                "n_modules": n_modules,
                "frame_index_step": frame_index_step,
            },
        )

    @classmethod
    def attach(cls, path: Path) -> Self:
        """Attach as a reader; raises SharedMemoryError."""
        return attach_ring(path, "images", cls)

    def begin(self, index: int) -> int:
        """Begin to write a slot; the slot has no image until its metadata are written, even if the writer dies."""
        generation = super().begin(index)
        self._sequences[index] = NO_IMAGE
        return generation

    def read_header(self, index: int) -> tuple[bytes, bytes]:
        """Return the bytes of the ImageMetadata of a slot, and of the entries of its modules."""
        start = index * self.headers.itemsize + _METADATA_AT
        metadata, modules = self._header_struct.unpack_from(self._header_bytes, start)
        return metadata, modules

    def write_header(self, index: int, metadata: bytes, modules: bytes) -> None:
        """Write the bytes that `read_header` returns; call this between `begin` and `end`."""
        start = index * self.headers.itemsize + _METADATA_AT
        end = start + IMAGE_METADATA.itemsize
        self._header_bytes[start:end] = metadata
        self._header_bytes[end : end + len(modules)] = modules

    def view(self, sequence: int) -> Image | None:
        """Return an image in place, or None if it is not in its slot; call its `is_intact` after use.

        An image whose metadata tell of pixels other than those of the ring is damaged, and counts as not there. So
        every reader passes it, and tells that it is lost.
        """
        slot = self.slot(sequence)
        generation = self.generation(slot)
        if generation == 0 or generation % 2:
            return None
        metadata, modules = self.read_header(slot)
        if _FORM_AND_SEQUENCE.unpack_from(metadata) != (*self._form, sequence):
            return None
        image = Image(self.images[slot], sequence, metadata, modules, self.generations, slot, generation)
        return image if image.is_intact() else None

    def holds(self, sequence: int) -> bool:
        """Return whether an image is in its slot now; it may be overwritten at any time, so check again after use."""
        slot = self.slot(sequence)
        generation = self.generation(slot)
        is_same = int(self._sequences[slot]) == sequence and generation > 0
        return is_same and self.is_unchanged(slot, generation)

    def close(self) -> None:
        """Release the ring; arrays taken from it must not be used afterwards."""
        del self.images, self._sequences, self._header_bytes
        super().close()
