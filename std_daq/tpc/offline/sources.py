"""Sources: the files of an analysis, as units of a few events."""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from std_daq.errors import ArgumentError
from std_daq.telemetry.logs import get_logger
from std_daq.tpc.boards import expected_boards
from std_daq.tpc.building.board_frame import BoardFrame
from std_daq.tpc.building.event_builder import EventBuilder
from std_daq.tpc.building.run_events import BuiltEvent
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.graw import GrawReader
from std_daq.tpc.frames.records import TOPOLOGY
from std_daq.tpc.offline.unit import EVENTS_OF_UNIT, FramePlace, GrawEvent, GrawUnit, MergedUnit, Unit
from std_daq.tpc.pads.load import load_pads

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# The files are read side by side, event by event. Of one board, ids are out of order by 1 at most.
_PATIENCE_EVENTS = 16

T = TypeVar("T")


def is_merged_file(file: Path) -> bool:
    """Return whether a file is an HDF5 file, as merged files are; otherwise it is a GRAW file."""
    with file.open("rb") as opened:
        return opened.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE


class MergedSource:
    """Merged files, one after another.

    The number of an event in the result is that in its file. In files after the first, all numbers are raised, so that
    they go on after the largest one of the files before.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        from std_daq.tpc.merged.reader import MergedFile

        self._contents: list[tuple[Path, int, list[int]]] = []
        first = 0
        for file in files:
            with MergedFile(file) as opened:
                numbers = list(opened.numbers)
            self._contents.append((file.absolute(), first, numbers))
            first += max(numbers, default=-1) + 1
        self.n_events: int | None = sum(len(numbers) for _, _, numbers in self._contents)

    def units(self) -> Iterator[Unit]:
        """Yield the units, always the same ones."""
        index = itertools.count()
        for file, first, numbers in self._contents:
            for numbers_of_unit in _batches(numbers):
                yield MergedUnit(next(index), file, numbers_of_unit, first)


class GrawSource:
    """GRAW files, whose frames are built into events; the number of an event is its place in the order of building.

    Parameters
    ----------
    files
        Files of one or several runs. Those of different boards are read side by side.
    config
        Says which boards make an event complete, and what their channels read.
    """

    def __init__(self, files: Sequence[Path], config: TpcConfig) -> None:
        self._files = files
        self._boards = expected_boards(config.boards, load_pads(config.pads))
        self.n_events: int | None = None

    def units(self) -> Iterator[Unit]:
        """Yield the units, always the same ones."""
        files = tuple(file.absolute() for file in self._files)
        for index, events in enumerate(_batches(enumerate(self._events()))):
            built = (
                GrawEvent(number, event.id, event.epoch, tuple(event.payloads.values())) for number, event in events
            )
            yield GrawUnit(index, files, tuple(built))

    def _events(self) -> Iterator[BuiltEvent[FramePlace]]:
        readers = [GrawReader(file) for file in self._files]
        builder: EventBuilder[FramePlace] = EventBuilder(
            len(readers), self._boards, time_limit_ns=_PATIENCE_EVENTS, max_held_bytes=2**62
        )
        last_key, now = None, 0
        for key, source, frame in _side_by_side(readers):
            if key != last_key:
                last_key, now = key, now + 1
                yield from builder.poll(now)
            if frame.has_samples:
                place = FramePlace(source, *readers[source].place(frame))
                yield from builder.feed(
                    BoardFrame(source, frame.board, frame.event_id, frame.event_time, place, len(frame.data), now)
                )
            elif frame.frame_type == TOPOLOGY:
                yield from builder.announce(source, int(frame.header["cobo"]), frame.announced_boards)
        yield from builder.flush()
        for file, reader in zip(self._files, readers, strict=True):
            for damaged in reader.damaged:
                get_logger().warning("damaged_frames", file=str(file), what=str(damaged))


def _batches(items: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """Yield as many items at a time as a unit has events."""
    rest = iter(items)
    while batch := tuple(itertools.islice(rest, EVENTS_OF_UNIT)):
        yield batch


def _side_by_side(readers: Iterable[GrawReader]) -> Iterator[tuple[tuple[int, int], int, Frame]]:
    """Yield the frames of all files with their run and event id, lowest first; within a file in their order."""
    return heapq.merge(
        *(_keyed(reader, source) for source, reader in enumerate(readers)), key=lambda item: (item[0], item[1])
    )


def _keyed(reader: GrawReader, source: int) -> Iterator[tuple[tuple[int, int], int, Frame]]:
    run, last_id = 0, -1
    for frame in reader:
        if frame.has_samples:
            event_id = frame.event_id
            run += event_id < last_id - 1
            last_id = event_id
        yield (run, last_id), source, frame


Source = MergedSource | GrawSource


def open_source(files: Sequence[Path], config: TpcConfig) -> Source:
    """Return the source of some files, all merged files or all GRAW files.

    Raises
    ------
    ArgumentError
        There are files of both kinds.
    FileFormatError
        A merged file is damaged.
    """
    are_merged = [is_merged_file(file) for file in files]
    if all(are_merged):
        return MergedSource(files)
    if any(are_merged):
        raise ArgumentError(
            "FILE",
            "there are merged files and GRAW files",
            value=files[are_merged.index(False)],
            remedy="analyse them one after the other",
        )
    return GrawSource(files, config)
