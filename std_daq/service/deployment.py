"""Deployment: that a changed configuration is in its file, and that all services of the system shall take it.

Whoever has changed the file writes a small file into the runtime directory. Each service that has read its
configuration before starts again by itself, with the same command line, whoever has started it.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from std_daq.config.paths import make_runtime_dir, runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.folders.new_file import NewFile

_NAME = "deployment.json"


def request_deployment(config: PlatformConfig, clock: Callable[[], int] = time.time_ns) -> int:
    """Ask all services of a system that run to take the configuration in their file.

    Parameters
    ----------
    config
        The configuration; only its name and its runtime directory matter.
    clock
        Returns nanoseconds since 1970.

    Returns
    -------
    When this was asked, in nanoseconds since 1970.

    Raises
    ------
    OSError
        The runtime directory cannot be written.
    """
    requested_ns = clock()
    with NewFile(make_runtime_dir(config) / _NAME, mode=0o660) as new:
        new.write(json.dumps({"requested_ns": requested_ns}).encode())
        new.replace()
    return requested_ns


class DeploymentWatch:
    """Tells whether a configuration has been superseded since it was read.

    Parameters
    ----------
    config
        The configuration.
    read_ns
        When reading it began, in nanoseconds since 1970.
    clock
        Returns nanoseconds since 1970.
    """

    def __init__(self, config: PlatformConfig, read_ns: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._path: Path = runtime_dir(config) / _NAME
        self._read_ns = read_ns
        self._clock = clock
        self._seen_ns = 0

    def is_superseded(self) -> bool:
        """Return whether another configuration was put into the file after this one was read."""
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns == self._seen_ns:
                return False
            self._seen_ns = changed_ns
            # A time in the future is from before the clock was set; a service that obeyed would start without end.
            return self._read_ns < int(json.loads(self._path.read_text())["requested_ns"]) <= self._clock()
        return False
