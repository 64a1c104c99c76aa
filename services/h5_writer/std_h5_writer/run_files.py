"""RunFiles: the files of one run that this writer writes."""

import errno
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from std_daq.errors import FileFormatError
from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.files import layout
from std_daq.imaging.files.described import calibration_checksums
from std_daq.imaging.files.description import ImageFileDescription
from std_daq.imaging.files.ending import finish_closed
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.image_faults import FaultCounter
from std_daq.recording.disk_file import sync_file
from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.requests import RunReport
from std_daq.telemetry.logs import ConditionLog
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.ring_reader import RunImage

Describe = Callable[[RunImage[Image, ImageBuffer]], ImageFileDescription]


@dataclass(slots=True)
class _Content:
    """Ids of the images in a file, in order, and how many of them are safe in it."""

    ids: "array[int]" = field(default_factory=lambda: array("Q"))
    n_flushed: int = 0


class RunFiles:
    """Files of a run, of which at most one is open at a time.

    A file is created when its first image comes, and closed when the first image of the next file comes. At the end
    the verdict is written into it. So the number of files is not limited by the number of files that can be open.

    Parameters
    ----------
    output_file
        Path of the file; with several data files, path of the master.
    images_per_file
        Number of images in each data file; None for a single file.
    describe
        Returns the description of a file, given its first image.
    owner
        User who is to own files and folders.

    Attributes
    ----------
    paths
        Paths of the files, in the order of their images.
    n_written, n_bytes
        Images written, and the bytes of their pixels.
    faults
        Counts the images written that are not good.
    """

    def __init__(self, output_file: Path, images_per_file: int | None, describe: Describe, owner: FileOwner) -> None:
        self.paths: list[Path] = []
        self.n_written = 0
        self.faults = FaultCounter()
        self.n_bytes = 0
        self._output_file = output_file
        self._images_per_file = images_per_file
        self._describe = describe
        self._owner = owner
        self._file: ImageFile | None = None
        self._file_index = -1
        self._n_closed = 0
        self._n_direct_closed = 0
        self._last_bytes = 0
        self._ring: ImageBuffer | None = None
        self._unflushed_ids: list[int] = []
        self._contents: dict[Path, _Content] = {}
        self._content = _Content()  # of the open file
        self._conditions = ConditionLog()
        self._vanished: dict[Path, _Content] = {}

    @property
    def n_vanished(self) -> int:
        """Images that were written, and whose files somebody has removed or moved during the run."""
        return sum(len(content.ids) for content in self._vanished.values())

    @property
    def n_flushed(self) -> int:
        """Images that stay readable if this process crashes."""
        return self._n_closed + (0 if self._file is None else self._file.n_flushed)

    @property
    def n_direct(self) -> int:
        """Images that were written past the page cache."""
        return self._n_direct_closed + (0 if self._file is None else self._file.n_direct)

    @property
    def unflushed_ids(self) -> list[int]:
        """Ids of the images that are lost if this process crashes."""
        return list(self._unflushed_ids)

    def append(self, run_image: RunImage[Image, ImageBuffer], chunk: NDArray[Any], *, past_page_cache: bool) -> None:
        """Append an image to its file, past the page cache if that is requested and possible.

        Raises
        ------
        FileFormatError
            The shape or type of the images has changed during the run, or the image belongs to a closed file.
        OSError
            The file cannot be created or written.
        """
        file = self._file_of(run_image)
        metadata = run_image.image.metadata
        calibration = metadata.calibration
        if not file.knows_calibration(calibration):
            file.add_calibration(calibration, calibration_checksums(run_image.ring.read_notes(), calibration))
        file.append(
            chunk,
            metadata,
            run_image.image.modules,
            i_exposure=run_image.i_exposure,
            past_page_cache=past_page_cache,
        )
        self._last_bytes = chunk.nbytes
        self.n_bytes += self._last_bytes
        self.n_written += 1
        self._content.ids.append(metadata.id)
        self._count_faults(run_image)
        self._unflushed_ids.append(metadata.id)

    def drop_last(self, run_image: RunImage[Image, ImageBuffer]) -> None:
        """Remove the image that was appended last, because it was overwritten in the ring meanwhile."""
        if self._file is None:
            raise FileFormatError(f"{self._output_file}: no file is open")
        self._file.drop_last()
        self.n_bytes -= self._last_bytes
        self.n_written -= 1
        self._content.ids.pop()
        self._count_faults(run_image, -1)
        self._unflushed_ids.pop()

    def flush(self) -> None:
        """Flush, so that all appended images stay readable if this process crashes; raises OSError."""
        if self._file is not None and self._unflushed_ids:
            self._file.flush()
            self._unflushed_ids.clear()

    def salvage(self) -> None:
        """Save the images that were appended before a write failed, as far as possible."""
        if self._file is not None and self._file.salvage():
            self._unflushed_ids.clear()

    def find_vanished(self) -> list[int]:
        """Return the ids of images whose files somebody has removed since they were written."""
        if self._file is not None and self._file.is_removed:
            with suppress(Exception):
                self._file.close()
            self._retire_file()
            self._unflushed_ids.clear()
        ids: list[int] = []
        with self._owner.identity():
            for path, content in self._contents.items():
                is_open = self._file is not None and self._file.path == path
                if not is_open and path not in self._vanished and not _may_be_there(path):
                    self._vanished[path] = content
                    self._n_closed -= content.n_flushed
                    ids.extend(content.ids)
        return ids

    def explain_vanished(self) -> str:
        """Return what to tell about files that were removed or moved."""
        names = [str(path) for path in self._vanished]
        others = f" (and {len(names) - 1} further files)" if len(names) > 1 else ""
        return f"{names[0]}{others}: the file was removed or moved during the run"

    def finish(self, report: RunReport, after_each: Callable[[], None], logs: ValueLogs = NO_LOGS) -> None:
        """Write the verdict into all files, close them, and wait until they are on the disk.

        A failure leaves a file that was closed before as it was.

        Parameters
        ----------
        report
            Report of the run.
        after_each
            Called after each file, and from time to time while a file is written to the disk.
        logs
            What other programs have measured; empty if there is a master, which gets them.

        Raises
        ------
        Exception
            The first failure, raised after all other files are finished.
        """
        failure: Exception | None = None
        for path in self.paths:
            if path in self._vanished:
                continue
            try:
                if self._file is not None and path == self._file.path:
                    self._file.finish(report, logs)
                else:
                    with self._owner.in_present_folder(path.parent) as folder:
                        finish_closed(path, report, folder=folder)
            except Exception as error:  # noqa: BLE001 -- h5py raises nearly everything; the other files are finished
                failure = failure or error
            try:
                with self._owner.in_present_folder(path.parent) as folder:
                    sync_file(path, after_each, folder)
            except Exception as error:  # noqa: BLE001 -- h5py raises nearly everything; the other files are finished
                failure = failure or error
            after_each()
        self._retire_file()
        if failure is not None:
            raise failure

    def _count_faults(self, run_image: RunImage[Image, ImageBuffer], n: int = 1) -> None:
        image = run_image.image
        if not image.is_good:
            self.faults.add(image.metadata.status, image.modules_at_fault(), n, cells=image.cells_without_calibration())

    def _file_of(self, run_image: RunImage[Image, ImageBuffer]) -> ImageFile:
        index = 0 if self._images_per_file is None else run_image.i_image // self._images_per_file
        if self._file is not None and index == self._file_index:
            self._check_looks(run_image.ring, self._file)
            return self._file
        if index <= self._file_index:
            raise FileFormatError(f"{self._output_file}: image {run_image.image.id} came after its file was closed")
        self._close_file()
        path = self._output_file
        if self._images_per_file is not None:
            path = layout.data_file_path(path, index + 1)
        description = self._describe(run_image)
        with self._owner.in_folder(path.parent) as folder:
            self._file = ImageFile.create(path, description, access=self._owner.access, folder=folder)
        self._content = self._contents[path] = _Content()
        if not self._file.has_lock:
            self._conditions.warning(
                "folder_has_no_locks", folder=str(path.parent), remedy="readers need HDF5_USE_FILE_LOCKING=FALSE"
            )
        self._file_index = index
        self._ring = run_image.ring
        self.paths.append(path)
        return self._file

    def _check_looks(self, ring: ImageBuffer, file: ImageFile) -> None:
        """Check that shape and type are the same if an image comes from another ring than the image before it."""
        if self._ring is not None and ring is not self._ring and _looks_of(ring) != _looks_of(self._ring):
            was, now = _looks_of(self._ring), _looks_of(ring)
            raise FileFormatError(f"{file.path}: images changed from {was} to {now} during the run")
        self._ring = ring

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.flush()
            try:
                self._file.close()
            finally:
                self._retire_file()

    def _retire_file(self) -> None:
        if self._file is not None:
            self._n_closed += self._file.n_flushed
            self._contents[self._file.path].n_flushed = self._file.n_flushed
            self._n_direct_closed += self._file.n_direct
            if self._file.n_flushed == self._file.n_images:
                self._unflushed_ids.clear()
            self._file = None


def _may_be_there(path: Path) -> bool:
    """Return False if the file is certainly not there."""
    try:
        path.stat()
    except OSError as error:
        return error.errno not in {errno.ENOENT, errno.ENOTDIR}
    return True


def _looks_of(ring: ImageBuffer) -> str:
    """Return type and shape of a ring's images as text; both must stay the same within a file."""
    height, width = ring.shape
    return f"{ring.dtype} {height}x{width}"
