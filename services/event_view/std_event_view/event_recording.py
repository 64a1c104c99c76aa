"""EventRecording: a file with all results."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from std_daq.errors import ArgumentError
from std_daq.telemetry.logs import ConditionLog
from std_daq.view3d.drawing import Drawing, why_not_drawn

_MAX_WAITING = 500


class EventRecording:
    """A recording that grows while the view runs; it can be opened at any time.

    Drawings wait until there is time to write them, so that a slow disk or a fast analysis never makes what viewers
    see old. If too many wait, the oldest are left out.

    Parameters
    ----------
    path
        A new file.
    application
        What viewers file it under.
    first
        What comes before all events.

    Attributes
    ----------
    n_left_out
        Drawings that are not in the file.

    Raises
    ------
    ArgumentError
        The file exists, or cannot be made.
    """

    def __init__(self, path: Path, application: str, first: Sequence[Drawing]) -> None:
        import rerun

        try:
            self._file = path.open("xb")
        except FileExistsError:
            raise ArgumentError("--output", "the file exists", value=path, remedy="give a new name") from None
        except OSError as error:
            raise ArgumentError("--output", f"cannot be made: {error.strerror}", value=path) from None
        self._waiting: deque[Drawing] = deque()
        self._conditions = ConditionLog()
        self.n_left_out = 0
        self._recording = rerun.RecordingStream(application)
        self._recording.save(Path(f"/proc/self/fd/{self._file.fileno()}"))  # this file, whatever its name leads to
        for drawing in first:
            drawing.draw(self._recording)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, drawing: Drawing) -> None:
        """Record a drawing as soon as there is time."""
        if len(self._waiting) == _MAX_WAITING:
            self._waiting.popleft()
            self.n_left_out += 1
        self._waiting.append(drawing)

    def write(self, seconds: float) -> None:
        """Write what waits, for about a time at most."""
        end_s = time.monotonic() + seconds
        while self._waiting and time.monotonic() < end_s:
            self._draw(self._waiting.popleft())

    def complete(self, seconds: float, last: Sequence[Drawing]) -> None:
        """Write what waits, for about a time at most, and what comes after all events."""
        self.write(seconds)
        self.n_left_out += len(self._waiting)
        self._waiting.clear()
        for drawing in last:
            self._draw(drawing)

    def _draw(self, drawing: Drawing) -> None:
        if why := why_not_drawn(drawing, self._recording):
            self.n_left_out += 1
            self._conditions.warning("drawing_left_out", kind="recording", error=why)

    def close(self) -> None:
        """Complete the file."""
        self._recording.flush()
        self._recording.disconnect()
        self._file.close()
