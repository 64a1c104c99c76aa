"""JournalReserve: room on the disk that the journal gives up when the disk is full, so that runs can still end."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

RESERVED_BYTES = 4 << 20
TRY_AGAIN_S = 1.0


class JournalReserve:
    """A file beside the journal that takes up room, as long as there is any.

    Parameters
    ----------
    path
        Path of the file.
    n_bytes
        Its size.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(self, path: Path, n_bytes: int = RESERVED_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._n_bytes = n_bytes
        self._clock = clock
        self._next_try = clock()
        self._is_held = False

    def is_held(self) -> bool:
        """Return whether the room is reserved; if it was given up, this tries to get it back, once in a second."""
        if not self._is_held and self._clock() >= self._next_try:
            self._next_try = self._clock() + TRY_AGAIN_S
            self._is_held = self._take()
        return self._is_held

    def give_up(self) -> bool:
        """Leave the room to the journal, and return whether there was any."""
        self._is_held = False
        self._next_try = self._clock() + TRY_AGAIN_S
        had_room = self._path.exists()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        return had_room

    def _take(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._n_bytes)
            finally:
                os.close(descriptor)
        except OSError:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            return False
        return True
