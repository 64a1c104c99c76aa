"""Fence: tells an h5_writer that the writer agent has given it up, so that it writes nothing more.

A writer that was stopped, or whose disk did not answer, does not know how long it was away. Meanwhile the agent may
have told the end of the run. So the agent writes into a small file in the runtime directory which process it has given
up in which run. The writer has the file mapped, and looks before it writes an image, a verdict or a master file. A
message would come too late: it would be read after those that wait before it.
"""

import mmap
import os
import struct
from pathlib import Path

from std_daq.errors import ConfigError

_MARK = struct.Struct("<32sQ")


class Fence:
    """The mark of one writer, as agent and writer see it.

    Parameters
    ----------
    path
        Path of the file, which is made if it is missing.

    Raises
    ------
    ConfigError
        The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o660)
            try:
                os.ftruncate(fd, _MARK.size)
                self._map = mmap.mmap(fd, _MARK.size)
            finally:
                os.close(fd)
        except OSError as error:
            raise ConfigError(f"cannot be opened: {error.strerror}", key="runtime_dir", value=str(path)) from None

    def give_up(self, instance: str, run_id: int) -> None:
        """Tell a writer's process that it is no longer part of a run."""
        self._map[:] = _MARK.pack(instance.encode(), run_id)

    def is_given_up(self, instance: str, run_id: int) -> bool:
        """Return whether this process has been given up in this run."""
        return self._map[:] == _MARK.pack(instance.encode(), run_id)

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()
