"""Runs: the run that takes events, and those whose files are still to be written."""

import time
from pathlib import Path

from std_daq.errors import ResourceError
from std_daq.photons.backend import Channels
from std_daq.telemetry.logs import get_logger
from std_sim_worker.runs.finishing import Finishing, WriteFile
from std_sim_worker.runs.run_folder import SUFFIX, RunFolder
from std_sim_worker.runs.run_name import DEFAULT

_TRY_AGAIN_S = 10.0


class Runs:
    """The runs of an output directory.

    Parameters
    ----------
    directory
        Where runs and files are.
    ending
        Ending of the files' names.
    write_file
        Writes a file.
    channels
        The light sensors.
    """

    def __init__(self, directory: Path, ending: str, write_file: WriteFile, channels: Channels) -> None:
        self._directory = directory
        self._ending = ending
        self._write_file = write_file
        self._channels = channels
        self._log = get_logger()
        self._finishing: dict[RunFolder, Finishing] = {}
        self._not_before_s: dict[RunFolder, float] = {}
        self.current: RunFolder | None = None
        self.ended: list[RunFolder] = []
        self._last_digests: set[bytes] = set()
        directory.mkdir(parents=True, exist_ok=True)
        self._resume()

    def all(self) -> list[RunFolder]:
        """Return the runs whose files are not written yet, the one that takes events last."""
        return [*self.ended, *([] if self.current is None else [self.current])]

    def begin(self, name: str) -> None:
        """Begin a run, and end the one before; does nothing if this run has begun and has no event yet."""
        if self.current is not None:
            if self.current.name.partition("~")[0] == name and not self.current.n_received:
                return
            self.end()
        self.current = self._new(name)
        self._last_digests = set()
        self._log.info("run_begins", run=self.current.name)

    def end(self) -> None:
        """End the run that takes events; its file is written once all of them have been simulated."""
        if self.current is not None:
            self.current.end()
            self._last_digests = self.current.digests
            self.ended.append(self.current)
            self.current = None

    def knows(self, digest: bytes) -> bool:
        """Return whether an event has been taken, also by the run that has just ended."""
        return digest in (self._last_digests if self.current is None else self.current.digests)

    def run_for_event(self) -> RunFolder:
        """Return the run that takes events; begins one where there is none."""
        if self.current is None:
            self.begin(DEFAULT)
        assert self.current is not None  # noqa: S101 - it has begun
        return self.current

    def step(self, now_s: float) -> None:
        """Begin to write the files of runs that are done, and forget those whose files are there."""
        for run in list(self.ended):
            finishing = self._finishing.get(run)
            if finishing is None:
                if run.is_done and now_s >= self._not_before_s.get(run, 0.0):
                    self._finishing[run] = Finishing(run, self._ending, self._write_file, self._channels)
            elif finishing.is_done:
                del self._finishing[run]
                if finishing.error is None:
                    self.ended.remove(run)
                else:
                    self._not_before_s[run] = now_s + _TRY_AGAIN_S

    def close(self, timeout_s: float) -> None:
        """Wait a while for files that are being written; what is not written is when a worker starts again."""
        deadline_s = time.monotonic() + timeout_s
        for finishing in self._finishing.values():
            finishing.wait(max(0.0, deadline_s - time.monotonic()))
        self.step(time.monotonic())
        for run in self.all():
            if run not in self._finishing:
                run.close()

    def _new(self, name: str) -> RunFolder:
        """Return the folder of a new run; its name has a number where another run of this name is not finished."""
        number = 0
        while (self._directory / f"{name}{f'~{number}' if number else ''}{SUFFIX}").exists():
            number += 1
        return RunFolder.of(self._directory, f"{name}~{number}" if number else name)

    def _resume(self) -> None:
        """Go on with the runs of a worker that was ended or killed; the last one that has not ended takes events."""
        for path in sorted(self._directory.glob(f"*{SUFFIX}"), key=_changed_ns):
            try:
                run = RunFolder(path)
            except ResourceError as error:  # another worker has it, for example
                self._log.warning("run_left_out", run=str(path), reason=str(error))
                continue
            except OSError as error:
                reason = f"{error.filename or path}: {error.strerror}"
                self._log.error("run_left_out", run=str(path), reason=reason)
                continue
            self._log.info("run_resumed", run=run.name, events=run.n_received, to_simulate=len(run.waiting()))
            if run.has_ended:
                self.ended.append(run)
            else:
                self.end()
                self.current = run


def _changed_ns(path: Path) -> int:
    return path.lstat().st_mtime_ns
