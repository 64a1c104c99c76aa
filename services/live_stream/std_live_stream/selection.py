"""ImageSelection: which images a stream sends. Pure: the clock is passed in."""

from typing import Protocol

from std_daq.imaging.config.model import LiveStreamConfig


class ImageSelection(Protocol):
    """Decides for one image after the other whether a stream sends it."""

    @property
    def n_in_queue(self) -> int | None:
        """Images that may wait for a viewer; None where a viewer wants all that are sent, also late."""

    def selects(self, sequence: int, now_s: float) -> bool:
        """Return whether an image is sent; asked once for each image, in order.

        Parameters
        ----------
        sequence
            Its place in the ring's journal.
        now_s
            Monotonic seconds.
        """


class Forward:
    """Every image."""

    n_in_queue = None

    def selects(self, sequence: int, now_s: float) -> bool:  # noqa: ARG002 - as all selections do
        """Return True."""
        return True


class Batch:
    """``n`` images in a row of every ``m``, counted in the ring: it stays in step whatever is overwritten.

    Parameters
    ----------
    n, m
        1 <= n <= m.
    """

    n_in_queue = None

    def __init__(self, n: int, m: int) -> None:
        self._n = n
        self._m = m

    def selects(self, sequence: int, now_s: float) -> bool:  # noqa: ARG002 - as all selections do
        """Return whether the image is one of the first n of its m."""
        return sequence % self._m < self._n


class Periodic:
    """``n`` images in a row at a rate, as far as there are images; after a pause not faster than the rate.

    Parameters
    ----------
    n
        From 1 on.
    rate_hz
        How often, more than 0.
    """

    def __init__(self, n: int, rate_hz: float) -> None:
        # A row, and the beginning of the next one: what is older is not what a viewer wants to see.
        self.n_in_queue = n + 1
        self._n = n
        self._period_s = 1.0 / rate_hz
        self._next_s: float | None = None
        self._n_left = 0

    def selects(self, sequence: int, now_s: float) -> bool:  # noqa: ARG002 - as all selections do
        """Return whether the image begins a row that is due, or goes on with one."""
        if self._n_left:
            self._n_left -= 1
            return True
        if self._next_s is None:
            self._next_s = now_s
        late_s = now_s - self._next_s
        if late_s < 0:
            return False
        # Counted from when it was due, the rate is kept exactly; what was missed in a pause is not made up for.
        self._next_s = (self._next_s if late_s < self._period_s else now_s) + self._period_s
        self._n_left = self._n - 1
        return True


def make_selection(config: LiveStreamConfig) -> ImageSelection:
    """Return the selection that a stream's configuration asks for."""
    if config.type == "forward":
        return Forward()
    n, other = config.config
    return Batch(int(n), int(other)) if config.type == "batch" else Periodic(int(n), other)
