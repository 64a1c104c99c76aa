"""Drawings of the readout: the table of the boards, waveforms of pads, what the view itself does, and logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.view.timeline import EVENT_TIME, event_time

if TYPE_CHECKING:
    from rerun import RecordingStream

BOARDS: Final = "/boards"
STATE: Final = "/state"
WAVEFORMS: Final = "/waveforms"
LOGS: Final = "logs/handler"


@dataclass(frozen=True, slots=True)
class TextDrawing:
    """A text that replaces the one before.

    Parameters
    ----------
    entity
        `BOARDS` or `STATE`.
    text
        In Markdown.
    """

    entity: str
    text: str

    def draw(self, recording: RecordingStream) -> None:
        """Draw it for all times."""
        import rerun as rr

        recording.log(self.entity, rr.TextDocument(self.text, media_type="text/markdown"), static=True)


@dataclass(frozen=True, slots=True)
class WaveformDrawing:
    """The samples of chosen pads in one event.

    Parameters
    ----------
    epoch, event_id
        The event.
    samples
        By pad; a pad without a trace in this event is not there.
    """

    epoch: int
    event_id: int
    samples: Mapping[int, NDArray[np.int16]]

    def draw(self, recording: RecordingStream) -> None:
        """Draw them in place of those of the event before."""
        import rerun as rr

        recording.set_time(EVENT_TIME, sequence=event_time(self.epoch, self.event_id))
        recording.log(WAVEFORMS, rr.Clear(recursive=True))
        for pad, samples in self.samples.items():
            recording.log(f"{WAVEFORMS}/pad_{pad}", rr.BarChart(samples))

    @classmethod
    def of_traces(cls, epoch: int, event_id: int, traces: NDArray[np.int16], pads: tuple[int, ...]) -> WaveformDrawing:
        """Choose from the rows of an event: cobo, asad, aget, channel, pad, and 512 samples."""
        rows = {pad: np.flatnonzero(traces[:, 4] == pad) for pad in pads}
        samples = {pad: traces[found[0], 5:].copy() for pad, found in rows.items() if len(found)}
        return cls(epoch, event_id, samples)


@dataclass(frozen=True, slots=True)
class LogDrawing:
    """A line of the log.

    Parameters
    ----------
    level
        ``INFO``, ``WARN`` or ``ERROR``.
    """

    level: str
    text: str

    def draw(self, recording: RecordingStream) -> None:
        """Add it to the lines before."""
        import rerun as rr

        recording.log(LOGS, rr.TextLog(self.text, level=self.level))
