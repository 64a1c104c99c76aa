"""Drawings of a merged file: each event is analysed, and drawn when it is."""

from __future__ import annotations

import time
from collections.abc import Iterator

from std_daq.errors import FileFormatError, StdDaqError
from std_daq.tpc.histograms.message import HistogramMessage
from std_daq.tpc.histograms.run_histograms import RunHistograms
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.view.event_drawing import ChamberDrawing, EventDrawing
from std_daq.tpc.view.histogram_drawing import HistogramDrawing
from std_daq.tpc.view.layout import ChamberLayout
from std_daq.tpc.view.ordered_analysis import EventTask, Item, analyse_in_order
from std_daq.tpc.view.reading_drawing import LogDrawing
from std_daq.view3d.drawing import Drawing

_HISTOGRAMS_EVERY_S = 5.0


class EventRuns:
    """Tells the run of each event of a file that may not say so: ids that do not rise begin a new one."""

    def __init__(self) -> None:
        self._epoch = 0
        self._last_id = -1

    def epoch_of(self, event_id: int, told: int | None) -> int:
        """Return the run of the next event; ``told`` is what the file says."""
        if told is None:
            self._epoch += event_id <= self._last_id
        else:
            self._epoch = told
        self._last_id = event_id
        return self._epoch


def drawings_of(
    file: MergedFile, plane: PadPlane, parameters: AnalysisParameters, n_workers: int = 1
) -> Iterator[Drawing]:
    """Analyse the events of a file, and yield what there is to draw, in the order of the file.

    Parameters
    ----------
    n_workers
        Processes that analyse; 1: this one alone.
    """
    histograms = RunHistograms()
    field = parameters.detector.magnetic_field
    yield ChamberLayout(is_live=False)
    yield ChamberDrawing()
    drawn_s = time.monotonic()
    for n, found in analyse_in_order(_items(file), plane, parameters, n_workers):
        if isinstance(found, StdDaqError):
            yield LogDrawing("ERROR", f"event {n} of the file: {found}")
            if histograms.epoch is not None:
                histograms.leave_out(histograms.epoch)
            continue
        histograms.add(found.epoch, found.estimates)
        yield EventDrawing(found, field)
        if time.monotonic() > drawn_s + _HISTOGRAMS_EVERY_S:
            yield HistogramDrawing(HistogramMessage.of_run(histograms.epoch, histograms.current))
            drawn_s = time.monotonic()
    yield HistogramDrawing(HistogramMessage.of_run(histograms.epoch, histograms.current))


def _items(file: MergedFile) -> Iterator[Item]:
    """Read the events that have data of the chamber."""
    runs = EventRuns()
    for n in file.numbers:
        try:
            event = file.read(n)
        except FileFormatError as error:
            yield n, error
            continue
        if event.id is not None:  # else the other acquisition alone has it
            yield n, EventTask(event.id, runs.epoch_of(event.id, event.epoch), event.traces)
