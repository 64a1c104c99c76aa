"""Compressor: what the writer needs of a compressor, and one for files that are never compressed."""

from typing import Any, Protocol

from numpy.typing import NDArray

from std_daq.errors import FileFormatError
from std_h5_writer.ring_reader import RunImage


class Compressor(Protocol):
    """Compresses images of the ring, and returns them in order; see `std_h5_writer.compressor.OrderedCompressor`."""

    @property
    def n_in_flight(self) -> int:
        """Images that are submitted and not yet taken."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether an image must be taken before the next one is submitted."""
        ...

    def submit(self, run_image: RunImage[Any, Any], zstd_level: int | None) -> None:
        """Start to compress an image, with Zstandard of this level, or, if it is None, with LZ4."""

    def take(self) -> tuple[RunImage[Any, Any], NDArray[Any] | None]:
        """Return the oldest image with its chunk; with None if it was overwritten meanwhile."""
        ...

    def close(self) -> None:
        """Stop the threads."""


class NoCompressor:
    """The compressor of files that are never compressed."""

    n_in_flight = 0
    is_full = False

    def submit(self, run_image: RunImage[Any, Any], zstd_level: int | None) -> None:  # noqa: ARG002 - the signature of every compressor
        """Refuse an image."""
        raise FileFormatError(f"event {run_image.image.id}: merged files are not compressed")

    def take(self) -> tuple[RunImage[Any, Any], NDArray[Any] | None]:
        """Refuse: no image is ever submitted."""
        raise FileFormatError("nothing was submitted: merged files are not compressed")

    def close(self) -> None:
        """Do nothing: there are no threads."""
