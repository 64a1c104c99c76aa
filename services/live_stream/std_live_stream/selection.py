"""ImageSelection: decides which images a stream sends. Pure: the clock is passed in."""

from typing import Protocol

from std_daq.imaging.config.model import LiveStreamConfig


class ImageSelection(Protocol):
    """Decides for each image whether a stream sends it."""

    @property
    def n_in_queue(self) -> int | None:
        """Number of images that may wait for a viewer; None if a viewer wants all images, even late ones."""

    def selects(self, sequence: int, now_s: float) -> bool:
        """Return whether to send an image; must be called once for each image, in order.

        Parameters
        ----------
        sequence
            Sequence number of the image in the ring's journal.
        now_s
            Monotonic time in seconds.
        """


class Forward:
    """Selects every image."""

    n_in_queue = None

    def selects(self, sequence: int, now_s: float) -> bool:  # noqa: ARG002 - as all selections do
        """Return True."""
        return True


class Batch:
    """Selects ``n`` consecutive images of every ``m``.

    Images are counted by their sequence numbers in the ring, so overwritten images do not shift the count. For
    example, ``n`` = 2 and ``m`` = 10 select the images with sequence numbers 0, 1, 10, 11, 20, 21, ...

    Parameters
    ----------
    n, m
        Numbers of images, 1 <= n <= m.
    """

    n_in_queue = None

    def __init__(self, n: int, m: int) -> None:
        self._n = n
        self._m = m

    def selects(self, sequence: int, now_s: float) -> bool:  # noqa: ARG002 - as all selections do
        """Return whether the image is one of the first n of its group of m."""
        return sequence % self._m < self._n


class Periodic:
    """Selects ``n`` consecutive images at a fixed rate, as far as there are images.

    After a pause the rate is not exceeded to make up for it.

    Parameters
    ----------
    n
        Number of consecutive images, at least 1.
    rate_hz
        Rate of these groups of images in hertz, above 0.
    """

    def __init__(self, n: int, rate_hz: float) -> None:
        # One group, and the first image of the next: a viewer has no interest in older images.
        self.n_in_queue = n + 1
        self._n = n
        self._period_s = 1.0 / rate_hz
        self._next_s: float | None = None
        self._n_left = 0

    def selects(self, sequence: int, now_s: float) -> bool:  # noqa: ARG002 - as all selections do
        """Return whether the image begins a group that is due, or belongs to the present group."""
        if self._n_left:
            self._n_left -= 1
            return True
        if self._next_s is None:
            self._next_s = now_s
        late_s = now_s - self._next_s
        if late_s < 0:
            return False
        # The next group is due one period after this one was due, not after it came. So the rate is kept exactly. After
        # a pause the period counts from now, so that missed groups are not made up for.
        self._next_s = (self._next_s if late_s < self._period_s else now_s) + self._period_s
        self._n_left = self._n - 1
        return True


def make_selection(config: LiveStreamConfig) -> ImageSelection:
    """Return the selection that a stream's configuration describes."""
    if config.type == "forward":
        return Forward()
    n, other = config.config
    return Batch(int(n), int(other)) if config.type == "batch" else Periodic(int(n), other)
