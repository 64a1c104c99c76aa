"""RingReader: finds images in the ImageBuffer that the writer agent has named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer


@dataclass(frozen=True, slots=True)
class RunImage:
    """One image of the run.

    Attributes
    ----------
    i_image
        Number of the image in the run, counted from 0.
    i_exposure
        Number of its exposure in the run, counted from 0, lost images included.
    image
        The image, in place: it may be overwritten at any time.
    ring
        Ring that holds the image.
    """

    i_image: int
    i_exposure: int
    image: Image
    ring: ImageBuffer


class RingReader:
    """The writer's view of the ImageBuffer, which may appear after the writer has started, and may be replaced.

    Parameters
    ----------
    path
        Path of the ring.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ring: ImageBuffer | None = None

    @property
    def is_current(self) -> bool:
        """Whether a ring is attached that was neither replaced nor removed."""
        return self._ring is not None and self._ring.is_live

    def attach(self) -> bool:
        """Attach to the present ring, and return whether there is one; no image of the ring before may be in use."""
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

    def find(self, store_image: NDArray[Any]) -> RunImage | None:
        """Return the image of a STORE_IMAGE struct of shape (1,); None if it is not, or no longer, in the ring."""
        if self._ring is None:
            return None
        wanted = store_image["metadata"][0]
        image = self._ring.view(int(wanted["sequence"]))
        if image is None or image.id != int(wanted["id"]):
            return None
        return RunImage(int(store_image["i_image"][0]), int(store_image["i_exposure"][0]), image, self._ring)

    def lag(self, sequence: int) -> int:
        """Return how many images were published after the one with this sequence number."""
        return 0 if self._ring is None else max(0, self._ring.journal.next_sequence - sequence - 1)

    def close(self) -> None:
        """Detach from the ring."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None
