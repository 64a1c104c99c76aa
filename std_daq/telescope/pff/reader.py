"""PffFile: reads a PFF file, mapped into memory."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from std_daq.errors import FileFormatError
from std_daq.telescope.pff.file_name import PffName, parse_name
from std_daq.telescope.pff.header import (
    MAX_HEADER_BYTES,
    Header,
    check_header,
    first_stamp,
    parse_header,
)
from std_daq.telescope.pff.header_columns import COLUMNS, read_columns, received_ns, white_rabbit_ns
from std_daq.telescope.pff.layout import FrameLayout, learn_layout
from std_daq.telescope.pff.product import Product


@dataclass(frozen=True, slots=True, eq=False)
class PffFrame:
    """One frame of a file.

    Attributes
    ----------
    number
        Position in the file, counted from 0.
    header
        The parsed header.
    pixels
        The pixels; a view of the file.
    """

    number: int
    header: Header
    pixels: npt.NDArray[Any]

    @property
    def received_ns(self) -> int:
        """Time at which the acquiring computer received the frame, in nanoseconds since 1970."""
        return first_stamp(self.header).received_ns

    @property
    def white_rabbit_ns(self) -> int:
        """Time at the board in nanoseconds since 1970; 0 if its clock was not synchronous."""
        return first_stamp(self.header).white_rabbit_ns


class PffFile:
    """A PFF file, mapped into memory: a sequence of its whole frames; a context manager.

    A frame that is cut at the end of the file is not one of the sequence: the file may still grow, and `refresh` takes
    in what has been added. Do not shorten a file that is open.

    Parameters
    ----------
    path
        The file.
    product
        The product of the frames; by default that of the name, as in ``.dp_ph256.``.

    Raises
    ------
    FileFormatError
        The file is no PFF file, or its name does not tell the product.
    OSError
        The file cannot be read.
    """

    def __init__(self, path: Path | str, product: Product | None = None) -> None:
        self.path = Path(path)
        self.name: PffName = parse_name(self.path)
        found = product or self.name.product
        if found is None:
            raise FileFormatError(
                f"{self.path}: the name does not tell the product; rename it, as to x.dp_img16.pff, or give the product"
            )
        self.product = found
        self._layout: FrameLayout | None = None
        self._file = self.path.open("rb")
        self._bytes = np.empty(0, np.uint8)
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    # -- frames

    def __len__(self) -> int:
        return 0 if self._layout is None else len(self._bytes) // self._layout.frame_bytes

    @overload
    def __getitem__(self, index: int) -> PffFrame: ...

    @overload
    def __getitem__(self, index: slice) -> list[PffFrame]: ...

    def __getitem__(self, index: int | slice) -> PffFrame | list[PffFrame]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"{self.path} has {len(self)} frames, counted from 0; there is no frame {index}")
        return PffFrame(number, self._header(number), self.pixels[number])

    def __iter__(self) -> Iterator[PffFrame]:
        for number in range(len(self)):
            yield self[number]

    @property
    def header_bytes(self) -> int | None:
        """Size of a header with its two line ends; None while there is no whole header."""
        return None if self._layout is None else self._layout.header_bytes

    @property
    def frame_bytes(self) -> int | None:
        """Size of a frame; None while there is no whole header."""
        return None if self._layout is None else self._layout.frame_bytes

    @property
    def n_tail_bytes(self) -> int:
        """Bytes behind the last whole frame: the beginning of a further one."""
        return len(self._bytes) - len(self) * (self.frame_bytes or 0)

    @property
    def pixels(self) -> npt.NDArray[Any]:
        """Pixels of all frames (n, rows, columns); a read-only view of the file."""
        product = self.product
        if self._layout is None:
            return np.empty((0, *product.shape), product.dtype)
        n_bytes = len(self) * self._layout.frame_bytes
        frames = self._bytes[:n_bytes].reshape(len(self), self._layout.frame_bytes)
        return frames[:, self._layout.pixel_offset :].view(product.dtype).reshape(len(self), *product.shape)

    # -- headers and times

    def stamps(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Read all headers.

        Returns
        -------
        An array (n, n_packets) with the fields ``quabo_num``, ``pkt_num``, ``pkt_tai``, ``pkt_nsec``, ``tv_sec`` and
        ``tv_usec``; and which frames have a sound header (n). The numbers of a damaged header are 0.
        """
        if self._layout is None:
            return np.zeros((0, self.product.n_packets), COLUMNS), np.zeros(0, np.bool_)
        frames = self._bytes[: len(self) * self._layout.frame_bytes].reshape(-1, self._layout.frame_bytes)
        return read_columns(frames[:, : self._layout.header_bytes], self._layout)

    def received_ns(self) -> npt.NDArray[np.int64]:
        """Return the time at which the acquiring computer received each frame, in nanoseconds since 1970 (n)."""
        numbers, _ = self.stamps()
        return received_ns(numbers[:, 0])

    def white_rabbit_ns(self) -> npt.NDArray[np.int64]:
        """Return the time at the board of each frame (n), in nanoseconds since 1970; 0 where it is not known."""
        numbers, is_sound = self.stamps()
        return np.where(is_sound, white_rabbit_ns(numbers[:, 0]), 0)

    def find(self, time_ns: int) -> int:
        """Return the number of the first frame that was received at this time or later; the length if there is none.

        Times are those of the acquiring computer, which are taken to rise.
        """
        return int(np.searchsorted(self.received_ns(), time_ns))

    # -- the file

    def refresh(self) -> int:
        """Take in what was added to the file; returns the number of frames.

        Raises
        ------
        FileFormatError
            The file is no PFF file.
        """
        self._file.seek(0, 2)
        n_bytes = self._file.tell()
        if n_bytes != len(self._bytes):
            # numpy holds the mapping as long as there is a view of it; an empty file cannot be mapped.
            mapping = mmap.mmap(self._file.fileno(), n_bytes, access=mmap.ACCESS_READ) if n_bytes else b""
            self._bytes = np.frombuffer(mapping, np.uint8)
        if self._layout is None:
            try:
                self._layout = learn_layout(self._bytes[:MAX_HEADER_BYTES].tobytes(), self.product)
            except ValueError as error:
                raise FileFormatError(f"{self.path} is no PFF file of {self.product.name}: {error}") from None
        return len(self)

    def close(self) -> None:
        """Close the file; pixels stay readable as long as they are used."""
        self._bytes = np.empty(0, np.uint8)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _header(self, number: int) -> Header:
        layout = self._layout
        assert layout is not None, "there is a frame, so there is a layout"  # noqa: S101
        start = number * layout.frame_bytes
        data = self._bytes[start : start + layout.pixel_offset].tobytes()
        if not layout.has_frame_at(data, 0):
            raise FileFormatError(f"{self.path}: there is no header of frame {number} at byte {start}")
        try:
            header = parse_header(data[: layout.header_bytes])
            check_header(header, self.product)
        except ValueError as error:
            raise FileFormatError(f"{self.path}: frame {number} at byte {start}: {error}") from None
        return header
