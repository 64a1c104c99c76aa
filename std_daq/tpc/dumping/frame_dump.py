"""FrameDump: records the frames of all exporters of a chamber, one GRAW file a board."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from std_daq.errors import ResourceError
from std_daq.tpc.dumping.exporter_client import ExporterClient
from std_daq.tpc.electronics import Board
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.graw_writer import MAX_FILE_BYTES, GrawWriter
from std_daq.tpc.frames.records import Fault

_LOOK_S = 0.05


class FrameDump:
    """Records frames as they were sent, beside the event builder: an exporter serves any number of clients.

    The frames of a board are in the order of their arrival. Frames of topology stand at the head of the files of their
    boards, as in files that the electronics write. Other frames without samples are counted, and not written.

    Parameters
    ----------
    folder
        Folder of the files; it exists.
    addresses
        ``host:port`` of each exporter.
    max_frames
        End after so many frames with samples; None: no limit.
    duration_s
        End after this time; None: no limit.

    Attributes
    ----------
    n_frames, n_bytes
        Frames with samples that were written, and their bytes.
    n_other_frames
        Frames without samples.
    """

    def __init__(
        self,
        folder: Path,
        addresses: Sequence[str],
        *,
        max_frame_bytes: int,
        reconnect_s: float,
        max_frames: int | None = None,
        duration_s: float | None = None,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._folder = folder
        self._began_at = datetime.now()  # local time, as in the names that the electronics give
        self._max_frames = max_frames
        self._duration_s = duration_s
        self._max_file_bytes = max_file_bytes
        self._lock = threading.Lock()
        self._writers: dict[Board, GrawWriter] = {}
        self._topology: dict[int, Frame] = {}
        self.n_frames = self.n_bytes = self.n_other_frames = 0
        self._clients = [
            ExporterClient(one, max_frame_bytes=max_frame_bytes, reconnect_s=reconnect_s, take=self._take)
            for one in addresses
        ]

    @property
    def files(self) -> list[Path]:
        """The files, ascending by their names."""
        return sorted(file for writer in self._writers.values() for file in writer.files)

    @property
    def never_reached(self) -> list[str]:
        """Exporters to which no connection was made."""
        return [client.address for client in self._clients if not client.n_connections]

    @property
    def n_cut_off(self) -> int:
        """Connections that ended within a frame, which is lost."""
        return sum(client.n_cut_off for client in self._clients)

    @property
    def faults(self) -> dict[Fault, int]:
        """Damaged frames, which are not written, by what was wrong with them."""
        faults: dict[Fault, int] = {}
        for client in self._clients:
            for counts in client.counts:
                for fault, n in counts.faults.items():
                    faults[fault] = faults.get(fault, 0) + n
        return faults

    def run(self, is_stopped: Callable[[], bool], progress: Callable[["FrameDump"], None] | None = None) -> None:
        """Record until a limit is reached or until told to stop.

        Raises
        ------
        ResourceError
            A file cannot be written.
        """
        end_s = None if self._duration_s is None else time.monotonic() + self._duration_s
        with ExitStack() as stack:
            stack.callback(self._close)
            for client in self._clients:
                client.start()
                stack.callback(client.stop)
            while not (is_stopped() or self._is_full() or (end_s is not None and time.monotonic() >= end_s)):
                for client in self._clients:
                    if client.error is not None:
                        raise client.error
                if progress is not None:
                    progress(self)
                time.sleep(_LOOK_S)

    def _is_full(self) -> bool:
        return self._max_frames is not None and self.n_frames >= self._max_frames

    def _take(self, frame: Frame) -> None:
        with self._lock:
            if frame.announced_boards:
                self._topology[frame.board[0]] = frame
            if not frame.has_samples:
                self.n_other_frames += 1
            elif not self._is_full():
                try:
                    self._writer(frame.board).write(frame.data)
                except OSError as error:
                    raise ResourceError(f"{self._folder}: cannot be written: {error.strerror or error}") from None
                self.n_frames += 1
                self.n_bytes += len(frame.data)

    def _writer(self, board: Board) -> GrawWriter:
        writer = self._writers.get(board)
        if writer is None:
            writer = self._writers[board] = GrawWriter(self._folder, self._began_at, board, self._max_file_bytes)
            if board[0] in self._topology:
                writer.write(self._topology[board[0]].data)
        return writer

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
