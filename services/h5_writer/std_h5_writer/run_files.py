"""RunFiles: the data files of one run that this writer writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from std_daq.errors import FileFormatError, StdDaqError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.files import layout
from std_daq.imaging.files.description import ImageFileDescription
from std_daq.imaging.files.disk_file import sync_file
from std_daq.imaging.files.ending import finish_closed
from std_daq.imaging.files.image_file import ImageFile
from std_daq.recording.requests import RunReport
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.ring_reader import RunImage
from std_h5_writer.run_description import calibration_checksums

Describe = Callable[[RunImage], ImageFileDescription]


class RunFiles:
    """Files of a run, each opened with its first image; at most one is open.

    A file is closed when the first image of the next one comes, and is opened once more for the verdict. So a run
    may have any number of files.

    Parameters
    ----------
    output_file
        The file, or the master of several.
    images_per_file
        Images of a data file; None for a single file.
    describe
        Tells from its first image what stands in a file.
    owner
        To whom files and folders belong.

    Attributes
    ----------
    paths
        The files, in the order of their images.
    n_written, n_incomplete, n_bytes
        Images written, those of them with a status other than good, and the bytes of their pixels.
    """

    def __init__(self, output_file: Path, images_per_file: int | None, describe: Describe, owner: FileOwner) -> None:
        self.paths: list[Path] = []
        self.n_written = 0
        self.n_incomplete = 0
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

    @property
    def n_flushed(self) -> int:
        """Images that a crash would leave readable."""
        return self._n_closed + (0 if self._file is None else self._file.n_flushed)

    @property
    def n_direct(self) -> int:
        """Images that went past the page cache."""
        return self._n_direct_closed + (0 if self._file is None else self._file.n_direct)

    @property
    def unflushed_ids(self) -> list[int]:
        """Ids of the images that a crash would take."""
        return list(self._unflushed_ids)

    def append(self, run_image: RunImage, chunk: NDArray[Any], *, past_page_cache: bool) -> None:
        """Write an image as the last of its file, past the page cache if that is asked for and possible.

        Raises
        ------
        FileFormatError
            The images of the ring have changed shape or type in the run, or belong to a file that is closed.
        OSError
            The file cannot be made or written.
        """
        file = self._file_of(run_image)
        metadata = run_image.image.metadata
        calibration = metadata.calibration
        if not file.knows_calibration(calibration):
            file.add_calibration(calibration, calibration_checksums(run_image.ring.read_notes(), calibration))
        file.append(
            chunk,
            image_id=metadata.id,
            pulse_id=metadata.pulse_id,
            frame_index=metadata.frame_index,
            timestamp_ns=metadata.first_arrival_ns,
            status=metadata.status,
            calibration=calibration,
            missing_packets=run_image.image.missing_packets,
            past_page_cache=past_page_cache,
        )
        self._last_bytes = chunk.nbytes
        self.n_bytes += self._last_bytes
        self.n_written += 1
        self.n_incomplete += not run_image.image.is_good
        self._unflushed_ids.append(metadata.id)

    def drop_last(self, run_image: RunImage) -> None:
        """Take back the image that was appended just now, because it was overwritten in the ring meanwhile."""
        if self._file is None:
            raise FileFormatError(f"{self._output_file}: no file is open")
        self._file.drop_last()
        self.n_bytes -= self._last_bytes
        self.n_written -= 1
        self.n_incomplete -= not run_image.image.is_good
        self._unflushed_ids.pop()

    def flush(self) -> None:
        """Make what was written safe from a crash of this process; raises OSError."""
        if self._file is not None and self._unflushed_ids:
            self._file.flush()
            self._unflushed_ids.clear()

    def salvage(self) -> None:
        """Save what was appended before a write failed, as far as that is possible."""
        if self._file is not None and self._file.salvage():
            self._unflushed_ids.clear()

    def finish(self, report: RunReport, after_each: Callable[[], None]) -> None:
        """Write the verdict into all files, close them, and wait until they are on the disk.

        Parameters
        ----------
        report
            How the run ended.
        after_each
            Called after each file, and now and then while the disk takes one.

        Raises
        ------
        OSError, FileFormatError
            The first failure; the other files are finished all the same.
        """
        failure: OSError | StdDaqError | None = None
        for path in self.paths:
            try:
                if self._file is not None and path == self._file.path:
                    self._file.finish(report)
                else:
                    with self._owner.identity():
                        finish_closed(path, report)
                with self._owner.identity():
                    sync_file(path, after_each)
            except (OSError, StdDaqError) as error:
                failure = failure or error
            after_each()
        self._retire_file()
        if failure is not None:
            raise failure

    def _file_of(self, run_image: RunImage) -> ImageFile:
        index = 0 if self._images_per_file is None else run_image.i_image // self._images_per_file
        if self._file is not None and index == self._file_index:
            self._check_looks(run_image.ring, self._file)
            return self._file
        if index <= self._file_index:
            raise FileFormatError(f"{self._output_file}: image {run_image.image.id} comes after its file was closed")
        self._close_file()
        path = self._output_file
        if self._images_per_file is not None:
            path = layout.data_file_path(path, index + 1)
        description = self._describe(run_image)
        with self._owner.identity():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = ImageFile.create(path, description)
        self._file_index = index
        self._ring = run_image.ring
        self.paths.append(path)
        return self._file

    def _check_looks(self, ring: ImageBuffer, file: ImageFile) -> None:
        """Check an image's ring, if it is another one than that of the image before."""
        if self._ring is not None and ring is not self._ring and _looks_of(ring) != _looks_of(self._ring):
            was, now = _looks_of(self._ring), _looks_of(ring)
            raise FileFormatError(f"{file.path}: images changed from {was} to {now} in the run")
        self._ring = ring

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.flush()
            self._file.close()
            self._retire_file()

    def _retire_file(self) -> None:
        if self._file is not None:
            self._n_closed += self._file.n_flushed
            self._n_direct_closed += self._file.n_direct
            if self._file.n_flushed == self._file.n_images:
                self._unflushed_ids.clear()
            self._file = None


def _looks_of(ring: ImageBuffer) -> str:
    """Return what must not change within a file, for a person."""
    height, width = ring.shape
    return f"{ring.dtype} {height}x{width}"
