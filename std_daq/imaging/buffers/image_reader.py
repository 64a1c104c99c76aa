"""ImageReader: reads the images of a ring while the detector takes data, for example in a notebook.

::

    from std_daq.client import ImageReader

    with ImageReader("detector.json") as images:
        for image in images:
            print(image.id, image.status, image.pixels.mean())

The writer never waits for a reader. It uses the slots of the ring in turn, so an image stays until the writer has
filled the whole ring once. A reader that falls further behind loses images, and `ImageReader.lost` tells which.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from std_daq.errors import MissingRingError, SharedMemoryError
from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.buffers.journal_search import Fate, find_in_journal
from std_daq.imaging.buffers.lost_images import LostImages
from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path, images_address
from std_daq.shm.journal import Journal
from std_daq.streams.doorbell import Doorbell
from std_daq.streams.follower import RingFollower
from std_daq.telemetry.logs import ConditionLog

# Seconds between two looks for a new ring, or for images if a message of the doorbell was lost.
_LOOK_S = 0.1
_LOOK_WITHOUT_DOORBELL_S = 0.01

Start = Literal["now", "oldest"] | int
"""Where to begin: with the next image, with the oldest one in the ring, or with the image of this id."""


@dataclass(frozen=True, slots=True)
class MissingImage:
    """Stands for an image that is not in the ring; its truth value is False.

    Attributes
    ----------
    id
        The requested id.
    fate
        Why the image is not in the ring.
    """

    id: int
    fate: Fate

    def __bool__(self) -> Literal[False]:
        return False

    def __str__(self) -> str:
        return f"image {self.id}: {self.fate}"


class ImageReader:
    """Reads the images of one detector; a context manager, and an iterator over new images.

    The ring need not exist yet. If it is replaced, the images of the new ring follow those of the old one. The reader
    sleeps until the writer rings the doorbell. Use a reader in one thread only.

    Parameters
    ----------
    source
        The configuration of the detector, the path of its ``detector.json``, or the path of its ring. A path that ends
        with ``.json`` is a configuration. The path of a ring does not tell its doorbell, so the reader then looks for
        new images 100 times a second.
    start
        Where `next` and iteration begin. ``"now"``: with the next published image. ``"oldest"``: with the oldest image
        in the ring. A number: with the image of this id, or if there is none, with the next higher id.
    copy
        Whether to return copies. If False, images are views of the ring: after using one, call its `is_intact`, and
        discard your results if it returns False.
    timeout_s
        Iteration ends if no image comes for this time, in seconds; by default it never ends.

    Attributes
    ----------
    lost
        The images that this reader could not return, because they were overwritten.
    n_skipped
        Number of images that were skipped on purpose, by `newest` and `skip`.

    Raises
    ------
    ConfigError
        The configuration cannot be read.
    SharedMemoryError
        The file is not a ring of images, or permissions are missing; all methods that look for images raise it, too.
    """

    def __init__(
        self,
        source: DetectorConfig | Path | str,
        *,
        start: Start = "now",
        copy: bool = True,
        timeout_s: float | None = None,
    ) -> None:
        config = _config_of(source)
        if isinstance(start, str) and start not in {"now", "oldest"}:
            raise ValueError(f"start is 'now', 'oldest' or the id of an image, not {start!r}")
        self._path = Path(str(source)) if config is None else image_buffer_path(config)
        self._address = None if config is None else images_address(config)
        self._start = start
        self._copy = copy
        self._timeout_s = timeout_s
        self._doorbell: Doorbell | None = None
        self._problem: SharedMemoryError | None = None
        self._was_there = True  # all images of a ring that appears later are new
        self._first_id: int | None = None
        self._newest: tuple[ImageBuffer | None, int] = (None, 0)
        self._end = 0  # end of the published entries at the last look
        self._is_closed = False
        self._conditions = ConditionLog()
        self.lost = LostImages()
        self.n_skipped = 0
        self._follower = RingFollower(self._attach, start=self._place)
        self._look()
        self._was_there = False

    @property
    def ring(self) -> ImageBuffer | None:
        """The ring that is read now; None while there is none."""
        return self._follower.ring

    @property
    def lag(self) -> int:
        """Number of published images that `next` has not returned yet."""
        return self._follower.lag

    def next(self, timeout_s: float | None = None) -> Image | None:
        """Return the next image in the order of publication, or None if none comes within ``timeout_s`` seconds.

        Overwritten images are skipped, and recorded in `lost`. If the writer has overtaken the reader, the reader skips
        a quarter of the ring, so that it is not overtaken again at once.
        """
        deadline = _deadline(timeout_s)
        while True:
            image = self._read_next()
            if image is not None or not self._wait_for_image(deadline):
                return image

    def newest(self, timeout_s: float | None = None) -> Image | None:
        """Return the newest image if it is newer than the last returned one, or None after ``timeout_s`` seconds.

        The first call returns the newest image of the ring, however old it is. `next` continues after it.
        """
        deadline = _deadline(timeout_s)
        while True:
            image = self._read_newest()
            if image is not None or not self._wait_for_image(deadline):
                return image

    def by_id(self, image_id: int) -> Image | MissingImage:
        """Return the image with this id, or why it is not there; does not wait, and does not affect `next`.

        ::

            if image := images.by_id(17):
                print(image.pixels.max())
            else:
                print(image)  # image 17: overwritten
        """
        with self._present_ring() as ring:
            if ring is None:
                return MissingImage(image_id, Fate.TO_COME)
            place = find_in_journal(ring.journal, image_id, ring.n_slots)
            if place.fate is Fate.PUBLISHED:
                image = self._checked(ring.view(place.sequence))
                return image or MissingImage(image_id, Fate.OVERWRITTEN)
            if place.fate is Fate.FORGOTTEN:
                place = find_in_journal(ring.journal, image_id, ring.geometry.n_entries)
        return MissingImage(image_id, Fate.OVERWRITTEN if place.fate is Fate.PUBLISHED else place.fate)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until `next` has an image to return, at most ``timeout_s`` seconds; returns whether it has."""
        deadline = _deadline(timeout_s)
        self._look()
        while not self.lag:
            if not self._wait_for_image(deadline):
                return False
            self._look()
        return True

    def skip(self, n_left: int = 0) -> int:
        """Skip all published images except the newest ``n_left``; returns the number of skipped images."""
        n_skipped = self._follower.skip(n_left)
        self.n_skipped += n_skipped
        return n_skipped

    def close(self) -> None:
        """Release the ring; copies stay valid, and views keep the memory of the ring until they are deleted."""
        if self._doorbell is not None:
            self._doorbell.close()
            self._doorbell = None
        self._is_closed = True
        self._end = 0
        self._follower.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Image]:
        while (image := self.next(self._timeout_s)) is not None:
            yield image

    # -- images

    def _read_next(self) -> Image | None:
        follower = self._follower
        if follower.cursor >= self._end:
            self._look()
        while follower.ring is not None and follower.cursor < self._end:
            found = follower.ring.view(follower.cursor)
            image = self._checked(found)
            if image is None:
                self._lose(follower.ring, has_margin=found is not None or not self._copy)
                continue
            follower.cursor += 1
            if self._first_id is None or image.id >= self._first_id:
                self._first_id = None
                return self._noted(image)
        return None

    def _read_newest(self) -> Image | None:
        follower = self._follower
        self._look()
        ring = follower.ring
        if ring is None:
            return None
        end = self._end
        first = self._newest[1] if ring is self._newest[0] else 0
        for sequence in range(end - 1, max(first, end - ring.n_slots) - 1, -1):
            image = self._checked(ring.view(sequence))
            if image is not None:
                self.n_skipped += max(0, sequence - follower.cursor)
                follower.cursor = max(follower.cursor, end)
                return self._noted(image)
        return None

    def _checked(self, image: Image | None) -> Image | None:
        return image.copy() if image is not None and self._copy else image

    def _noted(self, image: Image) -> Image:
        self._newest = (self._follower.ring, image.sequence + 1)
        return image

    def _lose(self, ring: ImageBuffer, *, has_margin: bool) -> None:
        """Skip the next image and all overwritten ones, and record them as lost.

        With a margin, a quarter of the ring is skipped in addition. Without it, the writer would overwrite each image
        while the reader copies it, and the reader would never return any.
        """
        follower, journal = self._follower, ring.journal
        end = journal.next_sequence
        floor = follower.cursor + 1
        # If the next image is not in the ring but newer ones are, it was lost on its way to this server.
        if follower.cursor <= end - ring.n_slots:
            floor = max(floor, end - (ring.n_slots * 3 // 4 if has_margin else ring.n_slots))
        n_unnamed = max(0, min(journal.oldest_sequence, floor) - follower.cursor)
        known = follower.cursor + n_unnamed
        part = journal.read(known, floor - known)
        ids = part.entries["id"].tolist()
        follower.cursor = known + part.n_lost + len(ids)
        if self._first_id is not None:
            ids = [image_id for image_id in ids if image_id >= self._first_id]
        n_unnamed += part.n_lost
        self.lost.add(ids, n_unnamed)
        if ids or n_unnamed:
            names = {"first_id": ids[0], "last_id": ids[-1]} if ids else {}
            self._conditions.warning("images_lost", **names, n_unnamed=n_unnamed, n_lost=self.lost.n)

    # -- the ring

    def _attach(self) -> ImageBuffer:
        try:
            return ImageBuffer.attach(self._path)
        except MissingRingError:
            raise
        except SharedMemoryError as error:
            self._problem = error
            raise

    def _place(self, ring: ImageBuffer, journal: Journal) -> int:
        """Return the first sequence number to read."""
        start = self._start
        if start == "now":
            return journal.next_sequence if self._was_there else journal.oldest_sequence
        if start == "oldest":
            return _oldest(ring) if self._was_there else journal.oldest_sequence
        self._first_id = start
        place = find_in_journal(journal, start, ring.geometry.n_entries)
        match place.fate:
            case Fate.TO_COME:
                return journal.next_sequence
            case Fate.FORGOTTEN:
                return journal.oldest_sequence
            case _:
                return place.sequence

    def _look(self) -> None:
        """Look for published images, and for a new ring."""
        if self._is_closed:
            raise ValueError("this ImageReader is closed")
        follower = self._follower
        if not follower.lag:
            follower.attach_if_due()
        self._end = 0 if follower.journal is None else follower.journal.next_sequence
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem

    @contextmanager
    def _present_ring(self) -> Iterator[ImageBuffer | None]:
        """Provide the present ring, even while images of its predecessor are still to be read."""
        self._look()
        ring = self.ring
        if ring is None or ring.is_live:
            yield ring
            return
        try:
            present = self._attach()
        except SharedMemoryError:
            yield ring
            return
        try:
            yield present
        finally:
            present.close()

    def _wait_for_image(self, deadline: float) -> bool:
        """Wait until there may be an image; returns False if the deadline has passed."""
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        if self._address is None:
            time.sleep(min(left_s, _LOOK_WITHOUT_DOORBELL_S))
            return True
        if self._doorbell is None:
            # Connect only now: each listener costs the writer a system call per image.
            self._doorbell = Doorbell(self._address)
            return True
        self._doorbell.wait(min(left_s, _LOOK_S))
        return True


def _config_of(source: DetectorConfig | Path | str) -> DetectorConfig | None:
    """Return the configuration of a source, or None if the source is a ring."""
    if isinstance(source, DetectorConfig):
        return source
    return load_config(source) if Path(source).suffix == ".json" else None


def _deadline(timeout_s: float | None) -> float:
    return float("inf") if timeout_s is None else time.monotonic() + timeout_s


def _oldest(ring: ImageBuffer) -> int:
    """Return the oldest image; if it is being overwritten, return an image that stays for some time."""
    end = ring.journal.next_sequence
    oldest = max(0, end - ring.n_slots)
    return oldest if ring.holds(oldest) else max(0, end - ring.n_slots * 3 // 4)
