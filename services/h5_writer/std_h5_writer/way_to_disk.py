"""WayToDisk: which images go past the page cache."""

_BEHIND_FROM = 1 / 2
_CAUGHT_UP_AT = 1 / 8
_WEIGHT = 1 / 8


class WayToDisk:
    """Decides for one image after the other, from how full the ring is and how long the images before have taken.

    Past the page cache an image costs a fraction of the processor time and no memory, and the disk has it at once. But
    the writer waits for the disk, which may be slow for a while. So when half the ring waits for the writer, images go
    whichever way is faster until the writer has caught up: into the page cache at first, which takes them at the speed
    of memory, as long as there is some that is free.

    Parameters
    ----------
    is_direct
        Whether images may go past the page cache at all.
    """

    def __init__(self, *, is_direct: bool) -> None:
        self._is_direct = is_direct
        self._is_behind = False
        self._direct_s = 0.0
        self._cached_s = 0.0

    def is_past_page_cache(self, lag: int, n_slots: int) -> bool:
        """Return whether the next image goes past the page cache.

        Parameters
        ----------
        lag
            Images that have come into the ring after it.
        n_slots
            Images that the ring holds.
        """
        if not self._is_direct:
            return False
        was_behind = self._is_behind
        self._is_behind = lag >= n_slots * (_CAUGHT_UP_AT if was_behind else _BEHIND_FROM)
        if not self._is_behind:
            return True
        if not was_behind:
            self._cached_s = 0.0  # it may have been slow the last time
        return self._direct_s < self._cached_s

    def note(self, seconds: float, *, is_past_page_cache: bool) -> None:
        """Take note of how long an image has taken; the last dozen count."""
        if is_past_page_cache:
            self._direct_s += _WEIGHT * (seconds - self._direct_s)
        else:
            self._cached_s += _WEIGHT * (seconds - self._cached_s)
