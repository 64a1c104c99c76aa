"""BothFiles: the merged file and the GRAW files of one run; an event is in both, or counted as lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.requests import RunReport
from std_h5_writer.event_files import EventFiles, RunEvent
from std_h5_writer.files_of_run import Faults
from std_h5_writer.graw_files import GrawFiles


class BothFiles:
    """Writes each event to a merged file and to GRAW files; the same interface as `RunFiles`.

    Parameters
    ----------
    merged, graw
        The files.
    """

    n_direct = 0

    def __init__(self, merged: EventFiles, graw: GrawFiles) -> None:
        self._merged = merged
        self._graw = graw
        self.n_written = self.n_bytes = 0

    @property
    def faults(self) -> Faults:
        """Counts the events that miss boards or frames."""
        return self._graw.faults

    @property
    def paths(self) -> list[Path]:
        """Paths of all files, the merged file first."""
        return [*self._merged.paths, *self._graw.paths]

    @property
    def n_vanished(self) -> int:
        """Events that were written, and of whose files somebody has removed some during the run."""
        return max(self._merged.n_vanished, self._graw.n_vanished)

    @property
    def n_flushed(self) -> int:
        """Events that are safe in both."""
        return min(self._merged.n_flushed, self._graw.n_flushed)

    @property
    def unflushed_ids(self) -> list[int]:
        """Ids of the events that are lost if this process crashes."""
        return max(self._merged.unflushed_ids, self._graw.unflushed_ids, key=len)

    def append(self, run_image: RunEvent, chunk: NDArray[Any], *, past_page_cache: bool) -> None:
        """Append an event; raises FileFormatError or OSError."""
        self._graw.append(run_image, chunk, past_page_cache=past_page_cache)
        try:
            self._merged.append(run_image, chunk, past_page_cache=past_page_cache)
        except BaseException:
            self._graw.drop_last(run_image)
            raise
        self._count()

    def drop_last(self, run_image: RunEvent) -> None:
        """Remove the event that was appended last, because it was overwritten in the ring meanwhile."""
        self._merged.drop_last(run_image)
        self._graw.drop_last(run_image)
        self._count()

    def flush(self) -> None:
        """Make all appended events safe from a crash of this process; raises OSError."""
        self._merged.flush()
        self._graw.flush()

    def salvage(self) -> None:
        """Save the events that were appended before a write failed, as far as possible."""
        self._merged.salvage()
        self._graw.salvage()

    def find_vanished(self) -> list[int]:
        """Return the ids of the events if somebody has removed a file since they were written."""
        was_known = self.n_vanished > 0
        ids = max(self._merged.find_vanished(), self._graw.find_vanished(), key=len)
        return [] if was_known else ids

    def explain_vanished(self) -> str:
        """Return what to tell about files that were removed."""
        return (self._merged if self._merged.n_vanished else self._graw).explain_vanished()

    def finish(self, report: RunReport, after_each: Callable[[], None], logs: ValueLogs = NO_LOGS) -> None:
        """Write the verdict, close all files, and wait until they are on the disk; raises the first failure."""
        try:
            self._merged.finish(report, after_each, logs)
        finally:
            self._graw.finish(report, after_each, logs)

    def _count(self) -> None:
        self.n_written = self._graw.n_written
        self.n_bytes = self._merged.n_bytes + self._graw.n_bytes
