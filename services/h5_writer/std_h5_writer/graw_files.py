"""GrawFiles: the raw frames of one run of a chamber, in GRAW files as its own recorders write them."""

from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import FileFormatError
from std_daq.recording.disk_file import sync_file
from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.requests import RunReport
from std_daq.recording.store_stream import StartRun
from std_daq.tpc.electronics import Board
from std_daq.tpc.events.event import Event
from std_daq.tpc.frames.block_checksums import BlockChecksums
from std_daq.tpc.frames.frame import Frame, parse_frame
from std_daq.tpc.frames.graw_writer import MAX_FILE_BYTES, GrawWriter
from std_daq.tpc.frames.recorded_graw import graw_folder, index_path
from std_daq.tpc.merged.faults import EventFaultCounter
from std_h5_writer.event_files import RunEvent
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.index_file import IndexFile


class GrawFiles:
    """The GRAW files of a run, one or more a board, and their index; the same interface as `RunFiles`.

    The index, in JSON, has the verdict and tells of each board how many frames were written, and how many were missing
    in the events. It has the checksums of the files. The files lie beside it in a folder, and are opened when the first
    frame of their board comes.

    Parameters
    ----------
    start
        Message that began the run.
    owner
        User who is to own files and folders.
    max_file_bytes
        Size of a file that is not exceeded.
    clock
        Returns the present time.

    Attributes
    ----------
    n_written, n_bytes, n_flushed, n_direct
        Events written, the bytes of their frames, the events that stay readable if this process crashes, and those
        written past the page cache: none.
    faults
        Counts the events that miss boards, or whose frames the ring did not keep.
    """

    n_direct = 0

    def __init__(
        self,
        start: StartRun,
        owner: FileOwner,
        max_file_bytes: int = MAX_FILE_BYTES,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.n_written = self.n_bytes = 0
        self.faults = EventFaultCounter()
        self._index = IndexFile(index_path(Path(start.output_file), start.request.format), owner)
        self._folder = graw_folder(Path(start.output_file))
        self._request = start.request
        self._owner = owner
        self._max_file_bytes = max_file_bytes
        self._began_at = clock()
        self._writers: dict[Board, GrawWriter] = {}
        self._checksums: defaultdict[Path, BlockChecksums] = defaultdict(BlockChecksums)
        self._n_frames: Counter[Board] = Counter()
        self._n_missing: Counter[Board] = Counter()
        self._pending: deque[Frame] = deque()  # of the last event, which may still be dropped
        self._ids = array("Q")
        self._has_vanished = self._is_closed = False

    @property
    def paths(self) -> list[Path]:
        """Paths of the index and of the GRAW files, those of each board in their order."""
        files = [path for board in sorted(self._writers) for path in self._writers[board].files]
        return [self._index.path, *files] if self._index.is_made else files

    @property
    def n_vanished(self) -> int:
        """Events that were written, and of whose files somebody has removed some during the run."""
        return len(self._ids) if self._has_vanished else 0

    @property
    def n_flushed(self) -> int:
        """Events whose frames have all been handed to the operating system."""
        return 0 if self._has_vanished else len(self._ids) - bool(self._pending)

    @property
    def unflushed_ids(self) -> list[int]:
        """Ids of the events that are lost if this process crashes."""
        return self._ids[self.n_flushed :].tolist()

    def append(self, run_image: RunEvent, chunk: NDArray[Any], *, past_page_cache: bool) -> None:  # noqa: ARG002
        """Append the frames of an event; raises FileFormatError or OSError."""
        if self._is_closed:
            raise FileFormatError(f"{self._index.path}: the files are closed")
        if not self._index.is_made:
            self._index.make(self._document(None))
        self._write_pending()
        event = run_image.image
        frames = event.frames.copy()
        if run_image.image.is_intact():  # otherwise the event is dropped next, and its bytes mean nothing
            self._pending.extend(_split(frames, self._index.path))
        self._count(event, 1)
        self._ids.append(event.id)

    def drop_last(self, run_image: RunEvent) -> None:
        """Remove the event that was appended last, because it was overwritten in the ring meanwhile."""
        self._pending.clear()
        self._ids.pop()
        self._count(run_image.image, -1)

    def flush(self) -> None:
        """Hand all frames to the operating system; raises OSError."""
        if not self._is_closed:
            self._write_pending()

    def salvage(self) -> None:
        """Save the events that were appended before a write failed, as far as possible."""
        with suppress(OSError):
            self.flush()

    def find_vanished(self) -> list[int]:
        """Return the ids of the events if somebody has removed one of the files since they were written."""
        if self._has_vanished or self._is_closed:
            return []
        with self._owner.identity():
            self._has_vanished = not all(path.exists() for path in self.paths)
        return self._ids.tolist() if self._has_vanished else []

    def explain_vanished(self) -> str:
        """Return what to tell about files that were removed."""
        return f"{self._folder}: GRAW files or their index were removed or moved during the run"

    def finish(self, report: RunReport, after_each: Callable[[], None], logs: ValueLogs = NO_LOGS) -> None:  # noqa: ARG002
        """Write the verdict into the index, close the files, and wait until they are on the disk.

        Raises
        ------
        Exception
            The first failure, raised after all other files are finished.
        """
        if self._is_closed:
            return
        failures: list[Exception] = []
        for do in self._ends(report, after_each):
            try:
                with self._owner.identity():
                    do()
            except OSError as error:
                failures.append(error)
            after_each()
        self._is_closed = True
        if failures:
            raise failures[0]

    def _ends(self, report: RunReport, after_each: Callable[[], None]) -> Iterator[Callable[[], None]]:
        yield self.flush
        for writer in self._writers.values():
            yield writer.close
        if self._index.is_made and not self._has_vanished:
            yield lambda: self._sync(after_each)
            yield lambda: self._index.end(self._document(report), after_each)

    def _write_pending(self) -> None:
        while self._pending:
            frame = self._pending[0]
            writer = self._writers.get(frame.board)
            if writer is None:
                writer = GrawWriter(self._folder, self._began_at, frame.board, self._max_file_bytes, self._make)
                self._writers[frame.board] = writer
            with self._owner.identity():
                writer.write(frame.data)
            self._checksums[writer.files[-1]].add(frame.data, frame.event_id)
            self._n_frames[frame.board] += 1
            self._pending.popleft()

    def _make(self, path: Path) -> FileIO:
        with self._owner.in_folder(path.parent) as folder:
            file = FileIO(folder.make(path.name), "wb")
            self._owner.access.apply(file.fileno())
        return file

    def _count(self, event: Event, n: int) -> None:
        self.n_written += n
        self.n_bytes += n * len(event.frames)
        missing = event.missing_boards
        if len(missing) or not event.has_frames:
            self.faults.add(missing, n, is_without_frames=not event.has_frames)
        for cobo, asad in missing.tolist():
            self._n_missing[cobo, asad] += n

    def _sync(self, after_each: Callable[[], None]) -> None:
        for path in self.paths[1:]:
            with self._owner.in_present_folder(path.parent) as folder:
                sync_file(path, after_each, folder)

    def _files_of(self, board: Board) -> list[Path]:
        return self._writers[board].files if board in self._writers else []

    def _document(self, report: RunReport | None) -> dict[str, Any]:
        """Return what the index says."""
        boards = sorted({*self._writers, *(board for board, n in self._n_missing.items() if n > 0)})
        return {
            "format": "graw",
            "request": self._request.model_dump(mode="json", exclude_defaults=True),
            "report": None if report is None else report.model_dump(mode="json"),
            "boards": [
                {
                    "board": board,
                    "n_frames": self._n_frames[board],
                    "n_missing": self._n_missing[board],
                    "files": [str(path.relative_to(self._index.path.parent)) for path in self._files_of(board)],
                    "checksums": [
                        [block.to_json() for block in self._checksums[path].blocks] for path in self._files_of(board)
                    ],
                }
                for board in boards
            ],
        }


def _split(frames: NDArray[np.uint8], index: Path) -> Iterator[Frame]:
    """Yield the frames of an event, which lie one behind the other."""
    begin = 0
    while begin < len(frames):
        frame = parse_frame(frames[begin:])
        if not isinstance(frame, Frame):
            raise FileFormatError(f"{index}: the ring has frames that are none ({frame.name}); restart the builder")
        yield frame
        begin += len(frame.data)
