"""FarReader: reads a ring as a user's program would, and compares it with what was published on another server."""

import time
from functools import partial
from pathlib import Path

import numpy as np

from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.streams.follower import RingFollower, start_oldest
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
        self._follower = RingFollower(partial(ImageBuffer.attach, path), start=start_oldest)
        self.ids: list[int] = []
        self.whole: set[int] = set()
        self.lost: set[int] = set()
        self.wrong: set[int] = set()

    def read(self) -> int:
        """Take what is new; returns how many entries."""
        part = self._follower.read()
        ring = self._follower.ring
        if part is None or ring is None:
            return 0
        if part.n_lost:
            raise RuntimeError(f"this reader is {part.n_lost} entries too slow")
        for entry in part.entries:
            self._take(ring, int(entry["id"]), int(entry["sequence"]))
        return len(part.entries)

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
        self._follower.close()

    def _take(self, ring: ImageBuffer, image_id: int, sequence: int) -> None:
        self.ids.append(image_id)
        slot = ring.slot(sequence)
        generation = ring.generation(slot)
        header = ring.headers[slot : slot + 1].copy()
        pixels = ring.images[slot].copy()
        if int(header["metadata"]["sequence"][0]) != sequence or not ring.is_unchanged(slot, generation):
            self.lost.add(image_id)
            return
        is_right = (
            int(header["metadata"]["id"][0]) == image_id
            and np.array_equal(pixels, pixels_of(image_id, ring.shape, ring.dtype))
            and header["missing_packets"][0].tolist() == missing_packets_of(image_id, ring.n_modules)
        )
        (self.whole if is_right else self.wrong).add(image_id)
