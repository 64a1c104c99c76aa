"""PffFiles: the PFF files of one run of a telescope, in run directories as its own acquisition makes them."""

from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from std_daq.errors import FileFormatError
from std_daq.folders.new_file import NewFile
from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.image_faults import FaultCounter
from std_daq.recording.disk_file import sync_file
from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.requests import RunReport
from std_daq.recording.store_stream import StartRun
from std_daq.telescope.boards.stamps import header_of_entries
from std_daq.telescope.pff.header import PACKET_FIELDS, Header
from std_daq.telescope.pff.product import Product
from std_daq.telescope.pff.writer import PffWriter, encode_frame
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.index_file import IndexFile
from std_h5_writer.ring_reader import RunImage

RUN_TYPE = "sci-data"
ENDED_FILE = "recording_ended"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class PffForm:
    """How PFF files are written.

    Parameters
    ----------
    product
        The product.
    max_file_bytes
        Size of a file that is not exceeded.
    """

    product: Product
    max_file_bytes: int


@dataclass(frozen=True, slots=True)
class _Frame:
    module_id: int
    image_id: int
    pixels: NDArray[Any]
    header: Header


@dataclass(slots=True)
class _ModuleFiles:
    """The files of a telescope module."""

    folder: Path
    writer: PffWriter
    ids: "array[int]" = field(default_factory=lambda: array("Q"))


class PffFiles:
    """Files of a run; the same interface as `RunFiles`.

    The output file is an index in JSON, which names the PFF files and has the verdict. They lie beside it, in
    ``module_<N>/obs_<name>.start_<time>.runtype_sci-data.pffd/``, where ``name`` is that of the index.

    Parameters
    ----------
    start
        Message that began the run.
    form
        How the files are written.
    owner
        User who is to own files and folders.
    clock
        Returns the present time.

    Attributes
    ----------
    n_written, n_bytes, n_flushed, n_direct
        Images written, the bytes of their pixels, and those that stay readable if this process crashes; none of them is
        written past the page cache.
    faults
        Counts the images written that are not good.
    """

    n_direct = 0

    def __init__(
        self,
        start: StartRun,
        form: PffForm,
        owner: FileOwner,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.n_written = self.n_bytes = self.n_flushed = 0
        self.faults = FaultCounter()
        self._index = IndexFile(Path(start.output_file), owner)
        self._request = start.request
        self._product = form.product
        self._max_file_bytes = form.max_file_bytes
        if start.request.images_per_file is not None:
            n_bytes = start.request.images_per_file * _frame_bytes(form.product)
            self._max_file_bytes = min(n_bytes, form.max_file_bytes)
        self._owner = owner
        self._clock = clock
        self._start = clock().strftime(_TIME)
        self._modules: dict[int, _ModuleFiles] = {}
        self._pending: list[_Frame] = []  # the last one may still be dropped
        self._unflushed_ids: list[int] = []
        self._vanished: dict[int, _ModuleFiles] = {}
        self._is_closed = False

    @property
    def paths(self) -> list[Path]:
        """Paths of the index and of the files, those of each module in the order of their images."""
        pff = [path for module in self._modules.values() for path in module.writer.paths]
        return [self._index.path, *pff] if self._index.is_made else pff

    @property
    def n_vanished(self) -> int:
        """Images that were written, and whose files somebody has removed or moved during the run."""
        return sum(len(module.ids) for module in self._vanished.values())

    @property
    def unflushed_ids(self) -> list[int]:
        """Ids of the images that are lost if this process crashes."""
        return list(self._unflushed_ids)

    def append(self, run_image: RunImage[Image, ImageBuffer], chunk: NDArray[Any], *, past_page_cache: bool) -> None:  # noqa: ARG002
        """Append an image to the files of its module; raises FileFormatError or OSError."""
        image = run_image.image
        if self._is_closed:
            raise FileFormatError(f"{self._index.path}: the files are closed")
        if chunk.shape != self._product.shape or chunk.dtype != self._product.dtype:
            raise FileFormatError(f"{self._index.path}: the images are none of the product {self._product.name}")
        if not self._index.is_made:
            self._index.make(self._document(None))
        self._write_pending()
        module_id = image.metadata.source_id
        if module_id not in self._modules:
            self._modules[module_id] = self._open_module(module_id)
        header = header_of_entries(image.modules, self._product)
        self._pending.append(_Frame(module_id, image.id, chunk.copy(), header))
        self.n_bytes += chunk.nbytes
        self.n_written += 1
        self.faults.add(image.metadata.status, image.modules_at_fault())
        self._unflushed_ids.append(image.id)

    def drop_last(self, run_image: RunImage[Image, ImageBuffer]) -> None:
        """Remove the image that was appended last, because it was overwritten in the ring meanwhile."""
        frame = self._pending.pop()
        self.n_bytes -= frame.pixels.nbytes
        self.n_written -= 1
        self.faults.add(run_image.image.metadata.status, run_image.image.modules_at_fault(), -1)
        self._unflushed_ids.pop()

    def flush(self) -> None:
        """Hand all frames to the operating system; raises OSError."""
        if self._is_closed:
            return
        self._write_pending()
        for module in self._modules.values():
            module.writer.flush()
        self.n_flushed = self.n_written - self.n_vanished
        self._unflushed_ids.clear()

    def salvage(self) -> None:
        """Save the images that were appended before a write failed, as far as possible."""
        with suppress(OSError, ValueError):
            self.flush()

    def find_vanished(self) -> list[int]:
        """Return the ids of images whose files somebody has removed since they were written."""
        ids: list[int] = []
        with self._owner.identity():
            for module_id, module in self._modules.items():
                if module_id not in self._vanished and not all(path.exists() for path in module.writer.paths):
                    self._vanished[module_id] = module
                    ids.extend(module.ids)
        self.n_flushed -= len(ids)
        return ids

    def explain_vanished(self) -> str:
        """Return what to tell about files that were removed or moved."""
        folders = [str(module.folder) for module in self._vanished.values()]
        others = f" (and {len(folders) - 1} further folders)" if len(folders) > 1 else ""
        return f"{folders[0]}{others}: files were removed or moved during the run"

    def finish(self, report: RunReport, after_each: Callable[[], None], logs: ValueLogs = NO_LOGS) -> None:  # noqa: ARG002
        """Write the verdict into the index, mark the run directories as ended, and wait until all is on the disk.

        Raises
        ------
        Exception
            The first failure, raised after all other files are finished.
        """
        failure: Exception | None = None
        try:
            self.flush()
        except (OSError, ValueError) as error:
            failure = error
        self._is_closed = True
        with self._owner.identity():
            for module_id, module in self._modules.items():
                try:
                    with module.writer:
                        if module_id not in self._vanished:
                            self._end_module(module, after_each)
                except OSError as error:
                    failure = failure or error
                after_each()
            try:
                if self._index.is_made:
                    self._index.end(self._document(report), after_each)
            except OSError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _write_pending(self) -> None:
        with self._owner.identity():
            while self._pending:
                frame = self._pending[0]
                module = self._modules[frame.module_id]
                n_files = len(module.writer.paths)
                module.writer.write(frame.pixels, frame.header)
                self._pending.pop(0)
                module.ids.append(frame.image_id)
                if len(module.writer.paths) > n_files:
                    self._owner.access.apply(module.writer.fd)

    def _open_module(self, module_id: int) -> _ModuleFiles:
        name = f"obs_{self._index.path.stem}.start_{self._start}.runtype_{RUN_TYPE}.pffd"
        folder = self._index.path.parent / f"module_{module_id}" / name
        with self._owner.in_folder(folder) as opened:
            writer = PffWriter(
                opened,
                self._product,
                module_id,
                self._start,
                max_file_bytes=self._max_file_bytes,
                new_checksum=xxhash.xxh3_64,
            )
            self._owner.access.apply(writer.fd)
        return _ModuleFiles(folder, writer)

    def _end_module(self, module: _ModuleFiles, after_each: Callable[[], None]) -> None:
        folder = module.writer.folder
        with NewFile(module.folder / ENDED_FILE, folder) as ended:
            ended.write(f"{self._clock().strftime(_TIME)}\n".encode())
            self._owner.access.apply(ended.fd)
            ended.appear()
        for path in module.writer.paths:
            sync_file(path, after_each, folder)

    def _document(self, report: RunReport | None) -> dict[str, Any]:
        """Return what the index says."""
        checksums = [checksum.hexdigest() for module in self._modules.values() for checksum in module.writer.checksums]
        return {
            "format": "pff",
            "product": self._product.name,
            "start": self._start,
            "request": self._request.model_dump(mode="json", exclude_defaults=True),
            "report": None if report is None else report.model_dump(mode="json"),
            "files": [str(path.relative_to(self._index.path.parent)) for path in self.paths[1:]],
            "checksums": [] if report is None else checksums,  # a file that still grows has none
        }


def _frame_bytes(product: Product) -> int:
    """Return the size of a frame."""
    packet = dict.fromkeys(PACKET_FIELDS, 0)
    header: Header = {f"quabo_{q}": packet for q in product.quabos} or {"quabo_num": 0} | packet
    return len(encode_frame(np.zeros(product.shape, product.dtype), header, product))
