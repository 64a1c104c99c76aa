"""FarReader: reads a ring as a user's program would, and compares it with what was published on another server."""

import time
from pathlib import Path

import numpy as np

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_reader import ImageReader
from std_test_kit.store_driver import missing_packets_of, pixels_of


class FarReader:
    """Takes every entry of the journal; images are those of `RingPublisher`, told by their ids.

    Parameters
    ----------
    path
        Of the ring; it may come later.

    Attributes
    ----------
    ids
        Of all entries, in order.
    whole, lost
        Ids of the images that were as published, and of those that were not there.
    wrong
        Ids of images that were there and were not as published.
    """

    def __init__(self, path: Path) -> None:
        self._images = ImageReader(path, start=0)
        self.ids: list[int] = []
        self.whole: set[int] = set()
        self.lost: set[int] = set()
        self.wrong: set[int] = set()

    def read(self) -> int:
        """Take what is new; returns how many entries."""
        n_before = len(self.ids)
        while True:
            image = self._images.next(timeout_s=0.0)
            self._note_lost()
            if image is None:
                return len(self.ids) - n_before
            self._compare(image)

    def read_until(self, n_entries: int, timeout_s: float = 30.0) -> None:
        """Read until there were so many entries in all; raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while len(self.ids) < n_entries:
            if self.read() == 0:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(self.ids)} of {n_entries} entries within {timeout_s} s")
                time.sleep(0.002)

    def close(self) -> None:
        """Let go of the ring."""
        self._images.close()

    def _note_lost(self) -> None:
        lost = self._images.lost
        if lost.n_unnamed:
            raise RuntimeError(f"this reader is {lost.n_unnamed} entries too slow")
        self.ids += lost.ids
        self.lost.update(lost.ids)
        lost.ids.clear()

    def _compare(self, image: Image) -> None:
        self.ids.append(image.id)
        pixels = image.pixels
        is_right = np.array_equal(pixels, pixels_of(image.id, pixels.shape, pixels.dtype)) and (
            image.missing_packets.tolist() == missing_packets_of(image.id, len(image.missing_packets))
        )
        (self.whole if is_right else self.wrong).add(image.id)
