"""Image: one image of a ring, where it lies or as a copy."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import ImageMetadata, ImageStatus, decode_image_metadata
from std_daq.native.ordered_words import is_unchanged

_CALIBRATION = struct.Struct("<86xH")  # of an ImageMetadata


class Image:
    """The pixels of one image, and what is known about it.

    An image in place is a view of the ring's memory, which its writer may use again at any time. Whoever uses it asks
    `is_intact` afterwards, and discards what it has made of an image that is not. A copy is its holder's own.

    Parameters
    ----------
    pixels
        Its pixels, (height, width).
    sequence
        Its place in the ring's journal; consecutive images have consecutive numbers.
    metadata_bytes, missing_packets_bytes
        Its ImageMetadata, and the packets that are missing of each module as u32s: copies.
    generations, slot, generation
        For an image in place: the ring's generations, its slot, and the even generation under which it was found.

    Attributes
    ----------
    pixels, sequence, metadata_bytes, missing_packets_bytes
        As given. The pixels of an image in place cannot be written.
    """

    __slots__ = (
        "_generation",
        "_generations",
        "_metadata",
        "_slot",
        "metadata_bytes",
        "missing_packets_bytes",
        "pixels",
        "sequence",
    )

    def __init__(
        self,
        pixels: NDArray[Any],
        sequence: int,
        metadata_bytes: bytes,
        missing_packets_bytes: bytes,
        generations: NDArray[np.uint64] | None = None,
        slot: int = 0,
        generation: int = 0,
    ) -> None:
        self.pixels = pixels
        self.sequence = sequence
        self.metadata_bytes = metadata_bytes
        self.missing_packets_bytes = missing_packets_bytes
        # With the array itself the question can be answered also when the ring has been let go of.
        self._generations = generations
        self._slot = slot
        self._generation = generation
        self._metadata: ImageMetadata | None = None

    @property
    def metadata(self) -> ImageMetadata:
        """All fields of its ImageMetadata."""
        if self._metadata is None:
            self._metadata = decode_image_metadata(self.metadata_bytes)
        return self._metadata

    @property
    def id(self) -> int:
        """Its id: the frame number or the pulse id, as `image_id` in the configuration says."""
        return self.metadata.id

    @property
    def status(self) -> ImageStatus:
        """What is wrong with it; GOOD is 0."""
        return ImageStatus(self.metadata.status)

    @property
    def is_good(self) -> bool:
        """Whether all packets of all modules arrived."""
        return self.metadata.status == ImageStatus.GOOD

    @property
    def missing_packets(self) -> NDArray[np.uint32]:
        """Packets that did not arrive, for each module, (n_modules,)."""
        return np.frombuffer(self.missing_packets_bytes, "<u4")

    @property
    def calibration(self) -> int:
        """Which of the calibrations in the ring's notes was applied; costs less than to decode all metadata."""
        calibration: int = _CALIBRATION.unpack_from(self.metadata_bytes)[0]
        return calibration

    @property
    def pulse_id(self) -> int:
        """The machine's number of its pulse; 0 for detectors that send none."""
        return self.metadata.pulse_id

    @property
    def frame_index(self) -> int:
        """The detector's frame number."""
        return self.metadata.frame_index

    @property
    def first_arrival_ns(self) -> int:
        """When its first packet arrived, in ns since 1970."""
        return self.metadata.first_arrival_ns

    @property
    def last_arrival_ns(self) -> int:
        """When its last packet arrived, in ns since 1970."""
        return self.metadata.last_arrival_ns

    @property
    def is_copy(self) -> bool:
        """Whether it is a copy, which stays as it is."""
        return self._generations is None

    def is_intact(self) -> bool:
        """Return whether all that was read of it up to now belongs to it; always true for a copy."""
        generations = self._generations
        return generations is None or bool(is_unchanged(generations, self._slot, self._generation))

    def copy(self, out: NDArray[Any] | None = None) -> "Image | None":
        """Copy it; None where it was overwritten before or meanwhile.

        Parameters
        ----------
        out
            Takes the pixels, (height, width) of the same type; by default a new array. For large images an array that
            is used again is faster: the kernel has to clear the memory of a new one first.
        """
        if out is None:
            out = self.pixels.copy()
        else:
            np.copyto(out, self.pixels, casting="no")
        image = Image(out, self.sequence, self.metadata_bytes, self.missing_packets_bytes)
        return image if self.is_intact() else None

    def __repr__(self) -> str:
        height, width = self.pixels.shape
        return f"<Image {self.id}: {height} x {width} {self.pixels.dtype}, {self.status.name}>"
