"""Finishing: writes the file of a run that has ended, in a thread of its own."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from std_daq.folders.new_file import NewFile
from std_daq.photons.backend import Channels
from std_daq.telemetry.logs import get_logger
from std_sim_worker.runs.run_folder import RunFolder

WriteFile: TypeAlias = Callable[[Path, Channels, Iterable[tuple[int, NDArray[np.void]]]], None]


class Finishing:
    """Writes the file of one run.

    The file gets its name when it is complete. A file of an earlier run with this name is renamed, never replaced.

    Parameters
    ----------
    run
        A run whose events have all been simulated.
    ending
        Ending of the file's name.
    write_file
        Writes the file.
    channels
        The light sensors.
    """

    def __init__(self, run: RunFolder, ending: str, write_file: WriteFile, channels: Channels) -> None:
        self._run = run
        self._ending = ending
        self._write_file = write_file
        self._channels = channels
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._finish, name="finishing", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether the file is there, or could not be written."""
        return not self._thread.is_alive()

    def wait(self, timeout_s: float) -> None:
        """Wait until it is done, or for a time."""
        self._thread.join(timeout_s)

    def _finish(self) -> None:
        path = self._run.path.parent / f"{self._run.name}{self._ending}"
        try:
            with NewFile(path) as new:
                self._write(new)
            self._run.remove()
        except Exception as error:  # noqa: BLE001 - the run stays, and is tried again when the worker starts again
            self.error = error
            get_logger().exception("run_not_written", run=str(self._run.path))
        else:
            get_logger().info("run_written", file=str(path), events=self._run.n_done)

    def _write(self, new: NewFile) -> None:
        self._write_file(new.opened, self._channels, self._run.rows())
        if new.path.exists():
            earlier = self._free_name()
            new.path.rename(earlier)
            get_logger().warning("earlier_file_renamed", file=str(new.path), now=str(earlier))
        new.appear()

    def _free_name(self) -> Path:
        folder, name, number = self._run.path.parent, self._run.name, 1
        while (path := folder / f"{name}.{number}{self._ending}").exists():
            number += 1
        return path
