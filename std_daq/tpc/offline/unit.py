"""Unit: a few events that one process analyses, and what it has to know for this."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import FileFormatError
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.frames.frame import Frame, parse_frame
from std_daq.tpc.offline.result_part import ResultPart
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.pipeline import Pipeline

EVENTS_OF_UNIT = 16


@dataclass(frozen=True, slots=True)
class FileEvent:
    """An event as it was read from files.

    Attributes
    ----------
    number
        Its number in the result.
    orig_run, orig_event
        Run and event from which another program took it; None: it did not.
    """

    number: int
    id: int
    epoch: int
    matrix: NDArray[np.int16]
    orig_run: int | None = None
    orig_event: int | None = None


class FramePlace(NamedTuple):
    """Where a frame is: the number of its file, its first byte, and the first byte behind it."""

    file: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class GrawEvent:
    """An event that was built of frames in files.

    Attributes
    ----------
    number
        Its number in the result.
    frames
        Where its frames are.
    """

    number: int
    id: int
    epoch: int
    frames: tuple[FramePlace, ...]


@dataclass(frozen=True, slots=True)
class GrawUnit:
    """Events of GRAW files, whose frames the process reads and decodes that analyses them.

    Attributes
    ----------
    index
        Place of the unit among all units.
    files
        The files, as the places of the frames number them.
    events
        The events.
    """

    index: int
    files: tuple[Path, ...]
    events: tuple[GrawEvent, ...]

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.events)

    def read(self, plane: PadPlane) -> Iterator[FileEvent]:
        """Yield the events; raises FileFormatError if a frame is not there any more."""
        from std_daq.tpc.frames.event_decoder import EventDecoder

        memories = {
            place.file: np.memmap(self.files[place.file], np.uint8, mode="r").view(np.ndarray)
            for event in self.events
            for place in {place.file: place for place in event.frames}.values()
        }
        decoder = EventDecoder(plane)
        for event in self.events:
            frames = [self._frame(memories[place.file], place) for place in event.frames]
            yield FileEvent(event.number, event.id, event.epoch, decoder.decode(frames))

    def _frame(self, memory: NDArray[np.uint8], place: FramePlace) -> Frame:
        frame = parse_frame(memory[place.begin : place.end])
        if not isinstance(frame, Frame):
            raise FileFormatError(
                f"{self.files[place.file]}: the frame at byte {place.begin} is not there any more; "
                "leave the file as it is, and give the same command again"
            )
        return frame


@dataclass(frozen=True, slots=True)
class MergedUnit:
    """Events of a merged file, which the process reads that analyses them.

    Attributes
    ----------
    index
        Place of the unit among all units.
    file
        The merged file.
    numbers
        Numbers of the events in it.
    first
        What is added to a number in the file for that in the result.
    """

    index: int
    file: Path
    numbers: tuple[int, ...]
    first: int

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.numbers)

    def read(self, _plane: PadPlane) -> Iterator[FileEvent]:
        """Yield the events; one without data of the chamber is left out."""
        from std_daq.tpc.merged.reader import MergedFile

        with MergedFile(self.file) as file:
            for n in self.numbers:
                event = file.read(n)
                if event.id is not None:
                    yield FileEvent(
                        self.first + n, event.id, event.epoch or 0, event.traces, event.orig_run, event.orig_event
                    )


Unit = GrawUnit | MergedUnit


def analyse_unit(unit: Unit, config: TpcConfig) -> ResultPart:
    """Return the results of the events of a unit.

    Raises
    ------
    ConfigError, FileFormatError, PhaseError
        The pads cannot be read, the file is damaged, or a phase failed.
    """
    plane, pipeline = _plane_and_pipeline(config.model_dump_json(include={"pads", "analysis"}), _Same(config))
    results = []
    for event in unit.read(plane):
        result = pipeline.run(event.id, event.epoch, event.matrix)
        result.estimates["event"] = event.number
        for name, value in (("orig_run", event.orig_run), ("orig_event", event.orig_event)):
            if value is not None:
                result.estimates[name] = value
        results.append((event.number, result))
    return ResultPart.of(results)


class _Same:
    """Hands a configuration to a cached function that must not look at it to find the cached result."""

    def __init__(self, config: TpcConfig) -> None:
        self.config = config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=1)
def _plane_and_pipeline(_document: str, same: _Same) -> tuple[PadPlane, Pipeline]:
    """Return what a configuration makes; a process makes it once."""
    plane = load_pads(same.config.pads)
    return plane, Pipeline(plane, same.config.analysis)
