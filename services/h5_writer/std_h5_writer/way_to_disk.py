"""WayToDisk: decides which images are written past the page cache (direct I/O)."""

_BEHIND_FROM = 1 / 2
_CAUGHT_UP_AT = 1 / 8
_WEIGHT = 1 / 8


class WayToDisk:
    """Decides for each image, from the lag of the writer and the write times of earlier images.

    Past the page cache, an image costs a fraction of the processor time and no memory, and is on the disk at once.
    But the writer must wait for the disk, which may be slow for a while. When the lag reaches half the ring, the
    writer is behind. From then on each image goes the faster way, until the writer has caught up. The first images go
    into the page cache, which takes them at the speed of memory as long as memory is free.

    Parameters
    ----------
    is_direct
        Whether images may be written past the page cache at all.
    """

    def __init__(self, *, is_direct: bool) -> None:
        self._is_direct = is_direct
        self._is_behind = False
        self._direct_s = 0.0
        self._cached_s = 0.0

    def is_past_page_cache(self, lag: int, n_slots: int) -> bool:
        """Return whether the next image is written past the page cache.

        Parameters
        ----------
        lag
            Number of images that were published after it.
        n_slots
            Number of images that the ring holds.
        """
        if not self._is_direct:
            return False
        was_behind = self._is_behind
        self._is_behind = lag >= n_slots * (_CAUGHT_UP_AT if was_behind else _BEHIND_FROM)
        if not self._is_behind:
            return True
        if not was_behind:
            self._cached_s = 0.0  # the cache was perhaps slow last time, and gets another try
        return self._direct_s < self._cached_s

    def note(self, seconds: float, *, is_past_page_cache: bool) -> None:
        """Record how long the write of an image took; about the last dozen images count."""
        if is_past_page_cache:
            self._direct_s += _WEIGHT * (seconds - self._direct_s)
        else:
            self._cached_s += _WEIGHT * (seconds - self._cached_s)
