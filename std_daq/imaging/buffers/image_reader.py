"""ImageReader: reads the images of a ring, also in a notebook, while the detector goes on.

::

    from std_daq.client import ImageReader

    with ImageReader("detector.json") as images:
        for image in images:
            print(image.id, image.status, image.pixels.mean())

Nobody waits for a reader. A ring has a fixed number of slots that are used in turn, so an image stays for as long as
its writer takes to fill the ring once. A reader that is slower than that loses images, and is told which.
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

# How often a reader looks by itself: for a ring, and for what a doorbell has not told.
_LOOK_S = 0.1
_LOOK_WITHOUT_DOORBELL_S = 0.01

Start = Literal["now", "oldest"] | int
"""Where reading begins: with the next image, with the oldest one that is still there, or with the image of this id."""


@dataclass(frozen=True, slots=True)
class MissingImage:
    """What stands for an image that is not in the ring; it counts as false.

    Attributes
    ----------
    id
        The id that was asked for.
    fate
        What has become of the image.
    """

    id: int
    fate: Fate

    def __bool__(self) -> Literal[False]:
        return False

    def __str__(self) -> str:
        return f"image {self.id}: {self.fate}"


class ImageReader:
    """Reads the images of one detector; a context manager, and an iterator over the images as they come.

    The ring need not exist yet, and may be replaced: the images of the new one follow those of the old one. A reader
    sleeps until the writer rings its doorbell. It is used by one thread.

    Parameters
    ----------
    source
        The detector: its configuration, the path of its ``detector.json``, or the path of its ring. A path that ends
        with ``.json`` is a configuration. Of a ring the doorbell is not known, so a reader of one looks for new images
        100 times a second.
    start
        Where `next` and iteration begin. ``"now"``: with the image that is published next. ``"oldest"``: with the
        oldest one in the ring. A number: with the image of this id, or with the first one after it.
    copy
        Whether images are copies. Without, they are views of the ring, and the user has to ask each whether it
        `is_intact` when all has been read of it.
    timeout_s
        Iteration ends when no image has come for so long; by default never.

    Attributes
    ----------
    lost
        Which images this reader should have given and could not, because they had been overwritten.
    n_skipped
        Images that were left out on purpose: by `newest` and `skip`.

    Raises
    ------
    ConfigError
        When the configuration cannot be read.
    SharedMemoryError
        When there is a file, and it is no ring of images or may not be read; also from all methods that look for
        images.
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
        self._was_there = True  # what is not there when this reader begins comes after "now"
        self._first_id: int | None = None
        self._newest: tuple[ImageBuffer | None, int] = (None, 0)
        self._end = 0  # what is published of the ring, as far as it was looked for
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
        """Images that are published and not yet read by `next`."""
        return self._follower.lag

    def next(self, timeout_s: float | None = None) -> Image | None:
        """Return the next image, in the order of publication; waits for it for at most ``timeout_s``, else None.

        Images that have been overwritten are left out, and are in `lost`. When the writer overtakes a reader, a quarter
        of the ring is given up at once, so that the reader has some time before it happens again.
        """
        deadline = _deadline(timeout_s)
        while True:
            image = self._read_next()
            if image is not None or not self._wait_for_image(deadline):
                return image

    def newest(self, timeout_s: float | None = None) -> Image | None:
        """Return the newest image that has not been given yet; waits for one for at most ``timeout_s``, else None.

        The first call returns the newest image of the ring, however old it is. `next` goes on after it.
        """
        deadline = _deadline(timeout_s)
        while True:
            image = self._read_newest()
            if image is not None or not self._wait_for_image(deadline):
                return image

    def by_id(self, image_id: int) -> Image | MissingImage:
        """Return the image with this id, or what has become of it; does not wait, and does not change what is next.

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
        """Wait until there is an image for `next`, for at most ``timeout_s``; returns whether there is."""
        deadline = _deadline(timeout_s)
        self._look()
        while not self.lag:
            if not self._wait_for_image(deadline):
                return False
            self._look()
        return True

    def skip(self, n_left: int = 0) -> int:
        """Leave out what has been published, up to the newest ``n_left`` images; returns how many images that were."""
        n_skipped = self._follower.skip(n_left)
        self.n_skipped += n_skipped
        return n_skipped

    def close(self) -> None:
        """Let go of the ring. Copies stay; of images in place the ring's memory is kept until they are gone."""
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
        """Give up the image that comes next, and all that has been overwritten.

        With a margin a quarter of the ring is given up in addition. Where the writer is just going over what would be
        read next, each image would be overwritten while it is read, and none would ever be given.
        """
        follower, journal = self._follower, ring.journal
        end = journal.next_sequence
        floor = follower.cursor + 1
        # A newer image may still be there when this one is not: it was lost on its way to this server.
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
        """Return the sequence number with which to begin."""
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
        """See what has been published, and whether the ring has appeared or been replaced."""
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
        """Give the ring that is there now, also while images of the one before are still to be read."""
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
        """Wait until something may have come; returns False when it is too late."""
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        if self._address is None:
            time.sleep(min(left_s, _LOOK_WITHOUT_DOORBELL_S))
            return True
        if self._doorbell is None:
            # Only who waits listens: each listener costs the writer a system call for each image.
            self._doorbell = Doorbell(self._address)
            return True
        self._doorbell.wait(min(left_s, _LOOK_S))
        return True


def _config_of(source: DetectorConfig | Path | str) -> DetectorConfig | None:
    """Return the configuration that a source is or names; None for a ring."""
    if isinstance(source, DetectorConfig):
        return source
    return load_config(source) if Path(source).suffix == ".json" else None


def _deadline(timeout_s: float | None) -> float:
    return float("inf") if timeout_s is None else time.monotonic() + timeout_s


def _oldest(ring: ImageBuffer) -> int:
    """Return the oldest image of a ring; where images are just being overwritten, one that has some time left."""
    end = ring.journal.next_sequence
    oldest = max(0, end - ring.n_slots)
    return oldest if ring.holds(oldest) else max(0, end - ring.n_slots * 3 // 4)
