"""Writes GRAW files as the electronics write them: names, order and size of the files."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from functools import partial
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import Board

MAX_FILE_BYTES = 1_073_875_980


def graw_name(began_at: datetime, board: Board | int | None, index: int) -> str:
    """Return the name of a file: ``CoBo0_AsAd1_2022-04-12T08:03:44.531_0000.graw``.

    Parameters
    ----------
    board
        The board, if each has a file of its own; the CoBo, or None, if boards are mixed.
    """
    time = began_at.isoformat(timespec="milliseconds")
    if isinstance(board, tuple):
        return f"CoBo{board[0]}_AsAd{board[1]}_{time}_{index:04d}.graw"
    return f"CoBo{'' if board is None else board}_{time}_{index:04d}.graw"


class GrawWriter:
    """Writes frames one after another; the next file begins where one would become larger than the electronics allow.

    Parameters
    ----------
    folder
        Folder of the files; it exists.
    began_at
        Time in the names.
    board
        As for `graw_name`.
    max_bytes
        Size of a file; a single larger frame has a file of its own.
    make
        Makes a file, and returns it without a buffer; it must not exist yet.

    Attributes
    ----------
    files
        The files until now; the first one exists from the start, and is empty if there are no frames.
    """

    def __init__(
        self,
        folder: Path,
        began_at: datetime,
        board: Board | int | None = None,
        max_bytes: int = MAX_FILE_BYTES,
        make: Callable[[Path], FileIO] = partial(FileIO, mode="xb"),  # noqa: B008
    ) -> None:
        self._folder = folder
        self._began_at = began_at
        self._board = board
        self._max_bytes = max_bytes
        self._make = make
        self._n_bytes = 0
        self.files: list[Path] = []
        self._output = self._open_next()

    def write(self, frame: bytes | NDArray[np.uint8]) -> None:
        """Write one frame; if that fails with an OSError, the file ends with the frame before."""
        data = memoryview(frame)  # type: ignore[arg-type] # an array is a buffer
        n_bytes = data.nbytes
        if self._n_bytes and self._n_bytes + n_bytes > self._max_bytes:
            self._output.close()
            self._output = self._open_next()
        try:
            while data:
                data = data[self._output.write(data) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._output.truncate(self._n_bytes)
                self._output.seek(self._n_bytes)
            raise
        self._n_bytes += n_bytes

    def close(self) -> None:
        """Close the last file."""
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError) if error else contextlib.nullcontext():
            self.close()

    def _open_next(self) -> FileIO:
        file = self._folder / graw_name(self._began_at, self._board, len(self.files))
        output = self._make(file)
        self.files.append(file)
        self._n_bytes = 0
        return output
