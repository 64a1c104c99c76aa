"""PffWriter: writes frames as the acquisition of a telescope does."""

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

import numpy.typing as npt

from std_daq.folders.open_folder import OpenFolder
from std_daq.telescope.pff.file_name import format_name
from std_daq.telescope.pff.header import Header, HeaderForm, format_header
from std_daq.telescope.pff.product import Product


class Checksum(Protocol):
    """A checksum that grows with what is written."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the checksum of all bytes so far."""
        ...


class PffWriter:
    """Writes the frames of one product of one module; a context manager.

    A file that would become larger than allowed is followed by the next one, with the next ``seqno``.

    Parameters
    ----------
    folder
        Folder of the files; it must exist. It is opened once: all files are made in this very folder, whatever becomes
        of its name meanwhile.
    product
        The product.
    module_id
        Number of the module.
    start
        Time at which the recording began, as it is to stand in the names: ``2024-07-25T04:34:46Z``.
    max_file_bytes
        Size that no file exceeds, but for a single frame that is larger; by default there is one file.
    new_checksum
        Makes the checksum of a file, such as ``xxhash.xxh3_64``; by default files have none.

    Attributes
    ----------
    paths
        The files, in order.
    checksums
        The checksum of each file, as far as it is written; empty without ``new_checksum``.

    Raises
    ------
    FileExistsError
        There is a file of this name: none is ever written over.
    OSError
        A file cannot be made or written.
    """

    def __init__(
        self,
        folder: Path | str | OpenFolder,
        product: Product,
        module_id: int,
        start: str,
        *,
        max_file_bytes: int | None = None,
        new_checksum: Callable[[], Checksum] | None = None,
    ) -> None:
        self.folder = folder.again() if isinstance(folder, OpenFolder) else OpenFolder.open(Path(folder))
        self._product = product
        self._module_id = module_id
        self._start = start
        self._max_file_bytes = max_file_bytes
        self._n_bytes = 0
        self.paths: list[Path] = []
        self.checksums: list[Checksum] = []
        self._new_checksum = new_checksum
        try:
            self._file = self._open_next()
        except BaseException:
            self.folder.close()
            raise

    @property
    def path(self) -> Path:
        """The file that is being written."""
        return self.paths[-1]

    def write(self, pixels: npt.NDArray[Any], header: Header) -> None:
        """Add a frame.

        Raises
        ------
        ValueError
            Shape or type of the pixels are not those of the product, or the header has not its keys.
        """
        frame = encode_frame(pixels, header, self._product)
        if self._max_file_bytes is not None and self._n_bytes and self._n_bytes + len(frame) > self._max_file_bytes:
            self._file.close()
            self._file = self._open_next()
        self._file.write(frame)
        if self.checksums:
            self.checksums[-1].update(frame)
        self._n_bytes += len(frame)

    @property
    def fd(self) -> int:
        """Descriptor of the file that is being written."""
        return self._file.fileno()

    def flush(self) -> None:
        """Hand all frames to the operating system, so that other programs see them."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with self.folder:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_next(self) -> IO[bytes]:
        name = format_name(self._product, self._module_id, len(self.paths), self._start)
        file = os.fdopen(self.folder.make(name), "wb")
        self.paths.append(self.folder.path / name)
        if self._new_checksum is not None:
            self.checksums.append(self._new_checksum())
        self._n_bytes = 0
        return file


def encode_frame(
    pixels: npt.NDArray[Any], header: Header, product: Product, form: HeaderForm = HeaderForm.FILE
) -> bytes:
    """Return the bytes of a frame; raises ValueError if pixels or header are not those of the product."""
    if pixels.shape != product.shape or pixels.dtype != product.dtype:
        raise ValueError(
            f"a {product.name} frame has {product.shape} pixels of {product.dtype}, "
            f"not {pixels.shape} of {pixels.dtype}"
        )
    return format_header(header, product, form) + pixels.tobytes()
