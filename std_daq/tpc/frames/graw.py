"""GRAW files: frames one after another, as the electronics write them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import FileFormatError
from std_daq.tpc.frames.frame import MERGED_TYPES, Frame, frames_at
from std_daq.tpc.frames.inner_frames import inner_frames
from std_daq.tpc.frames.records import HEADER, Fault
from std_daq.tpc.frames.splitter_kernels import split_file

_FRAMES_AT_ONCE = 512
_DAMAGED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class DamagedStretch:
    """Bytes of a file that give no frame.

    Parameters
    ----------
    begin, end
        First byte, and the first byte behind them.
    fault
        What is wrong at the beginning.
    is_at_the_end
        Whether the file ends with them: a frame was cut off while it was written.
    is_within
        Whether they are the bytes of a merged frame, and the fault is that of a frame in it.
    """

    begin: int
    end: int
    fault: Fault
    is_at_the_end: bool = False
    is_within: bool = False

    def __str__(self) -> str:
        n_bytes = self.end - self.begin
        if self.is_within:
            return f"a frame in the merged frame at byte {self.begin} is damaged ({_words(self.fault)})"
        if self.is_at_the_end and self.fault is Fault.CUT_OFF:
            return f"the last frame is cut off: {n_bytes} bytes at byte {self.begin}"
        return f"{n_bytes} bytes at byte {self.begin} are no frame ({_words(self.fault)})"


@dataclass(slots=True)
class GrawContent:
    """The frames of a file, and what of it gives none."""

    frames: list[Frame] = field(default_factory=list)
    damaged: list[DamagedStretch] = field(default_factory=list)


class GrawReader:
    """Yields the frames of a GRAW file; an empty file has none.

    Frames within merged frames come one by one. The data of a frame are a view of the mapped file.

    Parameters
    ----------
    file
        The file; it may be larger than the memory.

    Attributes
    ----------
    damaged
        What gave no frame until now.

    Raises
    ------
    FileFormatError
        The file does not begin with a frame, and none was found in it: it is no GRAW file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.n_bytes = file.stat().st_size
        self.damaged: list[DamagedStretch] = []
        self._memory: NDArray[np.uint8] = (
            np.memmap(file, np.uint8, mode="r").view(np.ndarray) if self.n_bytes else np.empty(0, np.uint8)
        )
        self._address = self._memory.ctypes.data
        self.position = 0

    def place(self, frame: Frame) -> tuple[int, int]:
        """Return the first byte of one of its frames in the file, and the first byte behind it."""
        begin = frame.data.ctypes.data - self._address
        return begin, begin + len(frame.data)

    def __iter__(self) -> Iterator[Frame]:
        headers = np.zeros(_FRAMES_AT_ONCE, HEADER)
        places = np.zeros((_FRAMES_AT_ONCE, 2), np.int64)
        damaged = np.zeros((_DAMAGED_AT_ONCE, 3), np.int64)
        state = np.zeros(2, np.int64)
        n_frames = 0
        while self.position < self.n_bytes:
            n = split_file(self._memory, self.position, self.n_bytes, self.n_bytes, headers, places, state, damaged)
            self.position = int(state[0])
            n_frames += n
            self._add_damaged(damaged[: state[1]])
            if not n_frames and self.position == self.n_bytes:
                raise FileFormatError(f"{self._file}: no frame is in it, so it is no GRAW file")
            found = zip(frames_at(headers[:n], places[:n], self._memory), places[:n].tolist(), strict=True)
            for frame, (begin, end) in found:
                yield from self._inner(frame, begin, end) if frame.frame_type in MERGED_TYPES else (frame,)

    def _inner(self, frame: Frame, begin: int, end: int) -> list[Frame]:
        inner, faults = inner_frames(frame)
        self.damaged += [DamagedStretch(begin, end, fault, is_within=True) for fault in faults]
        return inner

    def _add_damaged(self, rows: NDArray[np.int64]) -> None:
        for begin, end, fault in rows.tolist():
            self.damaged.append(DamagedStretch(begin, end, Fault(fault), is_at_the_end=end == self.n_bytes))


def read_graw(file: Path) -> GrawContent:
    """Return all frames of a GRAW file, and what of it gives none."""
    reader = GrawReader(file)
    return GrawContent(list(reader), reader.damaged)


def _words(fault: Fault) -> str:
    return fault.name.lower().replace("_", " ")
