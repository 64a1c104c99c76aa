"""ImageCounter: decides which images, or events, belong to a run, and counts those that never came. Pure."""

from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_NAMED = 100_000
# An open run has no number of images that would limit a gap, and a damaged frame number may jump by 2**63.
MAX_MISSED = 2**48
_EPOCHS = 16


class _Seen(NamedTuple):
    epoch: int
    frame_index: int
    image_id: int


class ImageCounter:
    """Counts the images of one run by their frame index; the events of a chamber by their id, which takes its place.

    Within an epoch the frame index rises by the same step from image to image. The step is 1, or more in a ring that
    holds a share of the images. A gap in the frame index means that images are missing. For example, with step 1,
    frame indices 7 and 10 mean that two images never came. Missing images count as images of the run. Their ids are
    known if the image id rises together with the frame index. After a restart of the detector a new epoch begins; the
    counter cannot tell whether images are missing between two epochs.

    A gap counts when the next image confirms it. Example: image 600 follows image 112. If image 601 comes next, images
    113 to 599 are missing. If the detector goes on with image 113 in a new epoch, image 600 was a stray, and nothing
    is missing. So an image whose gap would fill the run is not judged before the next one has come: it is left over.
    A smaller gap counts at once, and is taken back if the next image refutes it.

    Parameters
    ----------
    n_images
        Number of images of the run; None if it is open.
    start_image_id
        The run begins with the first image that has this id or a higher one. None: with the first image that is fed.
    number_field
        Field of the entries that holds the frame index.

    Attributes
    ----------
    n_taken
        Images of the run that came.
    n_missed
        Images of the run that did not come, although later ones did.
    n_left_over
        Images at the end of the last call of `feed` that do not belong to the run, because it was full, or that cannot
        be judged yet; they have to be fed again.
    exposures
        Number in the run of each image that the last call of `feed` returned, counted in exposures of the detector
        from 0 on, shape (n,). Exposures of which no image came count as well, and so do those of other receivers of a
        share.
    """

    def __init__(self, n_images: int | None, start_image_id: int | None, number_field: str = "frame_index") -> None:
        self._fields = ("epoch", number_field, "id")
        self._n_images = n_images
        self._start_image_id = start_image_id
        self._last: _Seen | None = None
        self._last_of: dict[int, _Seen] = {}  # by epoch
        self._before_gap: _Seen | None = None  # the image before the gap before the last image
        self._gap = 0  # the images of that gap, as they were counted
        self._has_named_gap = False  # whether the last missed ids are those of that gap
        self._unjudged: _Seen | None = None  # the image that was left over because it would fill the run
        self._missed_ids: list[range] = []
        self._n_named = 0
        self._n_skipped = 0
        self._step = 1
        self.n_taken = 0
        self.n_missed = 0
        self.n_left_over = 0
        self.exposures: NDArray[np.int64] = np.zeros(0, np.int64)
        self._offset = 0

    @property
    def has_begun(self) -> bool:
        """Whether an image of the run has been seen."""
        return self.n_taken + self.n_missed > 0

    @property
    def n_left(self) -> int | None:
        """Images that are still to come; None if the number of images is open."""
        return None if self._n_images is None else self._n_images - self.n_taken - self.n_missed

    @property
    def is_full(self) -> bool:
        """Whether each image of the run has come or is missed."""
        return self.n_left == 0

    def missed_ids(self) -> list[int]:
        """Return the ids of the images that did not come, as far as they are known."""
        return list(chain.from_iterable(self._missed_ids))

    def settle(self) -> None:
        """Count the gap before an image that could not be judged, because no other image has come."""
        if self._unjudged is not None:
            self._count_missed(self._unjudged)
            self._unjudged = None

    def feed(self, entries: NDArray[Any], n_unread: int = 0, frame_index_step: int = 1) -> NDArray[Any]:
        """Count published images, and return those that belong to the run.

        Parameters
        ----------
        entries
            Entries of the ring's journal, such as ImageMetadata structs, in the order of their publication, (n,).
        n_unread
            Images that were published just before these, and whose journal entries are overwritten.
        frame_index_step
            Difference between the frame indices of consecutive images.

        Returns
        -------
        The images to write, in order.
        """
        self._n_skipped += n_unread
        self._step = frame_index_step
        self.n_left_over = 0
        taken: list[int] = []
        places: list[int] = []
        columns = (entries[name].tolist() for name in self._fields)
        images = list(map(_Seen, *columns))
        for index, image in enumerate(images):
            if self.is_full:
                self.n_left_over = len(entries) - index
                break
            if self._is_before_start(image):
                self._note(image)
                continue
            if self._would_fill(image):
                if index + 1 == len(images):
                    self._unjudged, self.n_left_over = image, 1
                    break
                self._unjudged = None
                if self._is_refuted(self._last, image, images[index + 1]):
                    continue
            if self._is_refuted(self._before_gap, self._last, image):
                self._take_back_gap()
            if not self.has_begun:
                self._offset = self._offset_of(image)
            before, n_missed = self._last, self.n_missed
            self._count_missed(image)
            self._before_gap, self._gap = before, self.n_missed - n_missed
            self._note(image)
            if self.is_full:
                self.n_left_over = len(entries) - index
                break
            places.append(self.n_taken + self.n_missed)
            self.n_taken += 1
            taken.append(index)
        self.exposures = np.array(places, np.int64) * self._step + self._offset
        return entries if len(taken) == len(entries) else entries[np.array(taken, dtype=np.intp)]

    def _note(self, image: _Seen) -> None:
        """Remember the image as the last one, and as the last one of its epoch.

        An epoch may go on after the next one has begun: an event that waits for a board comes after those of a new run.
        """
        self._last, self._n_skipped = image, 0
        self._last_of[image.epoch] = image
        if len(self._last_of) > _EPOCHS:
            del self._last_of[min(self._last_of)]

    def _is_before_start(self, image: _Seen) -> bool:
        start = self._start_image_id
        return not self.has_begun and start is not None and image.image_id < start

    def _offset_of(self, first: _Seen) -> int:
        """Return how many exposures the first image of a share lies behind the start image, below the step."""
        if self._start_image_id is None or first.image_id < self._start_image_id:
            return 0
        last = self._last
        if last is not None and last.epoch == first.epoch:
            has_frame_ids = first.image_id - last.image_id == first.frame_index - last.frame_index
        else:
            has_frame_ids = first.image_id == first.frame_index
        return (first.image_id - self._start_image_id) % self._step if has_frame_ids else 0

    def _gap_before(self, image: _Seen) -> int:
        """Return how many images are missing between the last image and this one."""
        last, gap = self._last_of.get(image.epoch), self._n_skipped
        if last is not None:
            gap = max(gap, (image.frame_index - last.frame_index) // self._step - 1)
        if not self.has_begun and self._start_image_id is not None:
            gap = min(gap, (image.image_id - self._start_image_id) // self._step)
        return gap

    def _would_fill(self, image: _Seen) -> bool:
        """Return whether the frame index jumps so far that no image would be left to the run."""
        n_left = self.n_left
        has_jumped = image.epoch in self._last_of and self._gap_before(image) > self._n_skipped
        return has_jumped and n_left is not None and self._gap_before(image) >= n_left

    def _is_refuted(self, before: _Seen | None, image: _Seen | None, following: _Seen) -> bool:
        """Return whether the detector goes on, in a new epoch, with an image of the gap before an image."""
        if before is None or image is None or following.epoch == image.epoch:
            return False
        return before.epoch == image.epoch and before.frame_index < following.frame_index < image.frame_index

    def _take_back_gap(self) -> None:
        """Take back the gap before the last image; its ids are the last that were named."""
        if not self._gap:
            return
        self.n_missed -= self._gap
        self._gap = 0
        if self._has_named_gap:
            self._n_named -= len(self._missed_ids.pop())

    def _count_missed(self, image: _Seen) -> None:
        """Count the images that are missing between the last image and this one."""
        last, gap = self._last_of.get(image.epoch), self._gap_before(image)
        has_ids = last is not None and image.image_id - last.image_id == image.frame_index - last.frame_index
        n_missed = min(gap, MAX_MISSED - self.n_missed if self.n_left is None else self.n_left)
        self._has_named_gap = False
        if n_missed <= 0:
            return
        self.n_missed += n_missed
        n_named = min(n_missed, MAX_NAMED - self._n_named) if has_ids else 0
        if n_named:
            first = max(image.image_id - gap * self._step, 0)
            self._missed_ids.append(range(first, first + n_named * self._step, self._step))
            self._n_named += n_named
            self._has_named_gap = True
