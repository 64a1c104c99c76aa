"""InstanceLock: of each service of a system only one process runs; a second one says who is there, and changes nothing.

The lock is on a file in the runtime directory, so it counts in every container that shares the directory. The kernel
releases it when the process ends, however it ends.
"""

from pathlib import Path

from std_daq.errors import ConfigError, ResourceError
from std_daq.folders.held_lock import HeldLock
from std_daq.telemetry.logs import get_logger

# The kernel ends a killed process that has mapped large rings in a part of a second; its successor waits for that.
WAIT_S = 2.0


class InstanceLock:
    """The lock of one instance, held until `release` or the end of this process.

    Parameters
    ----------
    directory
        Folder of the service records, in the runtime directory.
    instance
        Name of this process, unique among the services of the system.
    wait_s
        How long to wait for a process that is ending, in seconds.

    Raises
    ------
    ResourceError
        Another process is this instance; the message says which.
    ConfigError
        The file of the lock cannot be opened.
    """

    def __init__(self, directory: Path, instance: str, *, wait_s: float = WAIT_S) -> None:
        path = directory / f"{instance}.lock"
        try:
            self._lock = HeldLock(path)
        except OSError as error:
            raise ConfigError(f"cannot be opened: {error.strerror}", key="runtime_dir", value=str(path)) from None

        def tell() -> None:
            get_logger().info("waits_for_predecessor", instance=instance, holder=str(self._lock.holder() or ""))

        if not self._lock.take(wait_s, tell):
            holder = self._lock.holder()
            self._lock.release()
            who = "" if holder is None else f" as {holder}"
            raise ResourceError(
                f"{instance} already runs{who}; two of them would disturb each other, so this one ends and has changed "
                f"nothing. End the other first, or give this system another name or runtime_dir (lock {path})"
            )

    def release(self) -> None:
        """Release the lock. The file stays: whoever waits for it has opened it."""
        self._lock.release()
