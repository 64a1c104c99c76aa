"""Image: an image of a ring, either in place or as a copy."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import ImageMetadata, ImageStatus, decode_image_metadata
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.native.ordered_words import is_unchanged

_CALIBRATION = struct.Struct("<86xH")  # of an ImageMetadata


class Image:
    """The pixels and the metadata of one image.

    An image in place is a view of the memory of the ring, which the writer may overwrite at any time. Call `is_intact`
    after use, and discard all results if it returns False. A copy is never overwritten.

    Parameters
    ----------
    pixels
        The pixels, (height, width).
    sequence
        Sequence number in the journal of the ring; consecutive images have consecutive numbers.
    metadata_bytes, modules_bytes
        Copies of the ImageMetadata, and of the ModuleEntry of each module.
    generations, slot, generation
        For an image in place: the generations of the ring, the slot, and the even generation under which the image was
        found.

    Attributes
    ----------
    pixels, sequence, metadata_bytes, modules_bytes
        As given. The pixels of an image in place cannot be written.
    """

    __slots__ = (
        "_generation",
        "_generations",
        "_metadata",
        "_slot",
        "metadata_bytes",
        "modules_bytes",
        "pixels",
        "sequence",
    )

    def __init__(
        self,
        pixels: NDArray[Any],
        sequence: int,
        metadata_bytes: bytes,
        modules_bytes: bytes,
        generations: NDArray[np.uint64] | None = None,
        slot: int = 0,
        generation: int = 0,
    ) -> None:
        self.pixels = pixels
        self.sequence = sequence
        self.metadata_bytes = metadata_bytes
        self.modules_bytes = modules_bytes
        # A reference to the array keeps `is_intact` valid after the ring has been released.
        self._generations = generations
        self._slot = slot
        self._generation = generation
        self._metadata: ImageMetadata | None = None

    @property
    def metadata(self) -> ImageMetadata:
        """All fields of the ImageMetadata."""
        if self._metadata is None:
            self._metadata = decode_image_metadata(self.metadata_bytes)
        return self._metadata

    @property
    def id(self) -> int:
        """Id of the image: the frame number or the pulse id, as `image_id` in the configuration selects."""
        return self.metadata.id

    @property
    def status(self) -> ImageStatus:
        """Faults of the image; GOOD is 0."""
        return ImageStatus(self.metadata.status)

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with the image.

        All packets of all modules arrived and belong to one exposure, none of them was refused, and everything that the
        pixels need was there.
        """
        return self.metadata.status == ImageStatus.GOOD

    @property
    def modules(self) -> NDArray[Any]:
        """What is known of each module: an array of MODULE_ENTRY, (n_modules,)."""
        return np.frombuffer(self.modules_bytes, MODULE_ENTRY)

    @property
    def missing_packets(self) -> NDArray[np.uint32]:
        """Number of missing packets of each module, (n_modules,)."""
        missing: NDArray[np.uint32] = self.modules["missing_packets"]
        return missing

    def modules_at_fault(self) -> dict[ImageStatus, list[int]]:
        """Return the modules that have a fault, as far as they are known; nothing for a good image."""
        if self.is_good:
            return {}
        statuses = self.modules["status"]
        return {fault: np.flatnonzero(statuses & int(fault)).tolist() for fault in self.status}

    def cells_without_calibration(self) -> list[int]:
        """Return the storage cells of the frames for which there was no calibration, each once."""
        if not self.metadata.status & ImageStatus.NOT_CALIBRATED:
            return []
        modules = self.modules
        cells: list[int] = np.unique(
            modules["storage_cell"][(modules["status"] & int(ImageStatus.NOT_CALIBRATED)) > 0]
        ).tolist()
        return cells

    @property
    def calibration(self) -> int:
        """Index, in the notes of the ring, of the calibration that was applied; does not decode all metadata."""
        calibration: int = _CALIBRATION.unpack_from(self.metadata_bytes)[0]
        return calibration

    @property
    def pulse_id(self) -> int:
        """Pulse id of the machine; 0 for detectors that do not send one."""
        return self.metadata.pulse_id

    @property
    def frame_index(self) -> int:
        """Frame number of the detector."""
        return self.metadata.frame_index

    @property
    def storage_cell(self) -> int:
        """Storage cell of the exposure; 0 for detectors without storage cells."""
        return self.metadata.storage_cell

    @property
    def first_arrival_ns(self) -> int:
        """Arrival of the first packet, in nanoseconds since 1970."""
        return self.metadata.first_arrival_ns

    @property
    def last_arrival_ns(self) -> int:
        """Arrival of the last packet, in nanoseconds since 1970."""
        return self.metadata.last_arrival_ns

    @property
    def is_copy(self) -> bool:
        """Whether this is a copy, which is never overwritten."""
        return self._generations is None

    def is_intact(self) -> bool:
        """Return whether the image has not been overwritten so far; always True for a copy."""
        generations = self._generations
        return generations is None or bool(is_unchanged(generations, self._slot, self._generation))

    def copy(self, out: NDArray[Any] | None = None) -> "Image | None":
        """Return a copy, or None if the image was overwritten before the copy was complete.

        Parameters
        ----------
        out
            Array for the pixels, (height, width) with the same type; by default a new array. For large images, reusing
            an array is faster, because the kernel must clear the memory of a new one.
        """
        if out is None:
            out = self.pixels.copy()
        else:
            np.copyto(out, self.pixels, casting="no")
        image = Image(out, self.sequence, self.metadata_bytes, self.modules_bytes)
        return image if self.is_intact() else None

    def __repr__(self) -> str:
        height, width = self.pixels.shape
        return f"<Image {self.id}: {height} x {width} {self.pixels.dtype}, {self.status.name}>"
