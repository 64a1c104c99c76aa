"""The writer of an image file; others can read the file while it grows, and after the writer was killed."""

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from std_daq.checksums import ChunkChecksums
from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.folders.new_file import NewFile, check_is_free
from std_daq.folders.open_folder import OpenFolder
from std_daq.hdf5 import (
    FORMAT_VERSION,
    close_regardless,
    explained_error,
    keep_metadata_in_memory,
    open_hdf5,
)
from std_daq.imaging.files import layout
from std_daq.imaging.files.checksums import create_checksums, write_description_checksums
from std_daq.imaging.files.description import ImageFileDescription
from std_daq.imaging.files.ending import find_places, room_of, write_lost_ids
from std_daq.imaging.files.image_columns import COLUMN_CACHE_BYTES, ImageColumns, create_columns, room_of_columns
from std_daq.imaging.files.measured import create_logs, paths_of_logs, room_of_logs, write_logs
from std_daq.imaging.files.nexus import room_of_structure, write_structure
from std_daq.imaging.files.pixel_rows import ALIGN_FROM_BYTES, Chunk, PixelRows, create_pixels
from std_daq.imaging.files.texts import write_text_attribute
from std_daq.imaging.protocols.image_metadata import ImageMetadata
from std_daq.recording.direct_file import PAGE_BYTES
from std_daq.recording.disk_file import REMOVED, DiskFile, room_behind, try_write
from std_daq.recording.file_access import AS_MADE, FileAccess
from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.requests import RunReport

_END_BYTES = 1024 * 1024  # for the end of the run, when no image fits any more; beside the rows that wait


def _now() -> datetime:
    return datetime.now(UTC)


class ImageFile:
    """An HDF5 file of a run, open for writing; created by `create`, used from one thread only.

    Pixels are written chunk by chunk from the caller's buffer, past HDF5's filters and chunk cache. The metadata of
    images are collected and written in blocks. All metadata of the file stay in memory until `flush`. Therefore readers
    of the growing file (``swmr=True``) see only whole images, those of the last flush; so does a recovery after a
    crash.

    Attributes
    ----------
    path
        Path of the file.
    n_images
        Number of images appended so far.
    n_direct
        Number of these images that were written past the page cache.
    n_flushed
        Number of these images that a reader can see.
    """

    def __init__(
        self,
        path: Path,
        file: h5py.File,
        disk: DiskFile,
        description: ImageFileDescription,
        clock: Callable[[], datetime],
    ) -> None:
        self.path = path
        self.n_images = 0
        self.n_direct = 0
        self.n_flushed = 0
        self._file: h5py.File | None = file
        self._clock = clock
        self._raw_bytes = description.image_bytes if description.compression == "none" else None
        self._pixels = PixelRows(file, file[layout.PIXELS], disk, self._raw_bytes)
        self._columns = ImageColumns(file, description)
        self._checksums = ChunkChecksums()
        # These stay open as long as the file, too: see ImageColumns.
        self._calibrations = file[layout.CALIBRATIONS]
        self._lost_ids = file[layout.LOST_IMAGE_IDS]
        self._logs = {path: file[path] for path in paths_of_logs(file)}
        self._known_calibrations: set[int] = set()
        self._is_last_direct = False
        self._has_failed = False
        self._disk = disk

    @classmethod
    def create(
        cls,
        path: Path,
        description: ImageFileDescription,
        *,
        access: FileAccess = AS_MADE,
        clock: Callable[[], datetime] = _now,
        folder: OpenFolder | None = None,
    ) -> Self:
        """Create a file that is complete except for its images.

        Parameters
        ----------
        path
            Path of the file, which must not exist; its folder must exist.
        description
            Description of the file.
        access
            Who may use the file.
        clock
            Returns the present time, for the start and the end of the run.
        folder
            The folder of the file, if the caller has opened it.

        Raises
        ------
        FileExistsError
            `path` exists already; it is left unchanged.
        OSError
            The file cannot be created; nothing of it is left behind.
        """
        check_is_free(path, folder)
        try:
            new = NewFile(path, folder)
        except OSError as error:
            raise explained_error(error, path, "cannot create the file") from error
        with new:
            return cls._create(new, description, access, clock)

    @classmethod
    def _create(
        cls, new: NewFile, description: ImageFileDescription, access: FileAccess, clock: Callable[[], datetime]
    ) -> Self:
        file: h5py.File | None = None
        disk: DiskFile | None = None
        try:
            # HDF5 crashes, at once or later, if it cannot write what it has begun. So the system is asked before, also
            # for the room that the file needs.
            try_write(new.fd)
            file = open_hdf5(
                new.opened,
                "w",
                libver=FORMAT_VERSION,
                alignment_threshold=ALIGN_FROM_BYTES,
                alignment_interval=PAGE_BYTES,
                rdcc_nbytes=COLUMN_CACHE_BYTES,
            )
            with room_behind(new.opened, room_of_structure(description)):
                write_structure(file, description, clock(), new.path.name)
                _create_datasets(file, description)
                keep_metadata_in_memory(file)
                file.swmr_mode = True
            disk = DiskFile(new.opened, _END_BYTES + room_of_columns(description))
            disk.reserve(disk.n_bytes)
            image_file = cls(new.path, file, disk, description, clock)
            access.apply(new.fd)
            new.appear()  # from here on, the file can be recovered whatever happens
        except BaseException as error:
            new.close()  # before HDF5 may crash
            if file is not None:
                close_regardless(file)
            if disk is not None:
                disk.close()
            if isinstance(error, HDF5_ERRORS) and not isinstance(error, FileExistsError):
                raise explained_error(error, new.path, "cannot create the file") from error
            raise
        return image_file

    def append(
        self,
        chunk: Chunk,
        metadata: ImageMetadata,
        modules: npt.NDArray[np.void],
        *,
        i_exposure: int = 0,
        past_page_cache: bool = False,
    ) -> None:
        """Write one image.

        Parameters
        ----------
        chunk
            Contiguous pixels; for a compressed file, the compressed chunk. It is neither copied nor kept.
        metadata
            Metadata of the image.
        modules
            ModuleEntry of each module, (n_modules,).
        i_exposure
            Number of the exposure in the run, counted from 0, lost ones included; the positions of axes follow from it.
        past_page_cache
            Whether to write the pixels past the page cache and wait for the disk. This is possible only for
            uncompressed pixels that begin at a page of memory, and only if the file system supports it. Even then
            some images go through the page cache.

        Raises
        ------
        OSError
            The image could not be written. Flushed images are safe. After this error, only `salvage`, `finish` and
            `close` may be called.
        FileFormatError
            The chunk has the wrong size, the file is closed, or an earlier write failed.
        """
        self._check_open()
        n_bytes = chunk.nbytes if isinstance(chunk, np.ndarray | memoryview) else len(chunk)
        if self._raw_bytes is not None and n_bytes != self._raw_bytes:
            raise FileFormatError(f"{self.path}: image {metadata.id} has {n_bytes} bytes instead of {self._raw_bytes}")
        if not self._columns.has_room(self.n_images):
            with self._writing("metadata of images"):
                self._columns.write(self.n_images)
        row = self.n_images
        size_before = self._disk.n_bytes
        try:
            self._disk.reserve(size_before + n_bytes)
        except OSError as error:
            raise self._failed(f"image {metadata.id}", error) from error
        begun = self._checksums.begin(chunk, n_bytes)
        try:
            self._is_last_direct = self._pixels.write(row, chunk, past_page_cache=past_page_cache)
        except HDF5_ERRORS as error:
            # The part of the chunk that still fitted on the disk is removed, to make room for the end of the run.
            with suppress(OSError):
                self._disk.cut(size_before)
                self._disk.reserve(size_before)
            raise self._failed(f"image {metadata.id}", error) from error
        finally:
            checksum = self._checksums.end(begun)  # also after a failure: until then the caller's buffer is in use
        self._columns.put(row, metadata, modules, i_exposure, checksum)
        self.n_images = row + 1
        self.n_direct += self._is_last_direct

    def knows_calibration(self, calibration: int) -> bool:
        """Return whether `add_calibration` was called for this number."""
        return calibration in self._known_calibrations

    def add_calibration(self, calibration: int, checksums: Mapping[str, str]) -> None:
        """Store which calibration files belong to a calibration number; called once for each number.

        Parameters
        ----------
        calibration
            Number of the calibration, as it is passed to `append`.
        checksums
            Checksum of each calibration file, by its path.

        Raises
        ------
        OSError
            The calibration could not be written.
        """
        self._check_open()
        text = json.dumps({"index": calibration, "files": dict(checksums)})
        if len(text) > layout.MAX_CALIBRATION_BYTES:
            text = json.dumps({"index": calibration, "files": {}})
        with self._writing(f"calibration {calibration}"):
            self._calibrations.resize(self._calibrations.shape[0] + 1, axis=0)
            self._calibrations[-1] = text.encode()
        self._known_calibrations.add(calibration)

    def drop_last(self) -> None:
        """Remove the image that was appended last, because its pixels changed while they were written.

        The next image takes its row and its place in the file. This is possible only directly after `append`.

        Raises
        ------
        FileFormatError
            Readers may already have seen the image, or there is no image.
        """
        self._check_open()
        if self.n_images == self._columns.n_written:
            raise FileFormatError(f"{self.path}: the last image is flushed and cannot be removed")
        self.n_images -= 1
        self.n_direct -= self._is_last_direct

    def flush(self) -> None:
        """Make all images appended so far visible to readers, and safe from a crash of this process.

        This starts the write-back to the disk but does not wait for it; `sync_file` waits.

        Raises
        ------
        FileNotFoundError
            Somebody has removed or moved the file.
        OSError
            The images could not be written.
        """
        self._flush(self._check_open())
        self._check_place()

    def salvage(self) -> bool:
        """Flush after a failed write; return whether all appended images are safe now."""
        file = self._check_open(even_failed=True)
        try:
            self._flush(file)
        except OSError:
            return False
        return True

    @property
    def has_lock(self) -> bool:
        """Whether the open file is locked; False on a file system that has no locks."""
        return self._disk.has_lock

    @property
    def is_removed(self) -> bool:
        """Whether somebody has removed the file, so that its images are in no file; known only while it is open."""
        return self._file is not None and self._disk.find_change(self.path) == REMOVED

    def _check_place(self) -> None:
        change = self._disk.find_change(self.path)
        if change:
            raise FileNotFoundError(errno.ENOENT, f"the file was {change} during the run", str(self.path))

    def _flush(self, file: h5py.File) -> None:
        with self._writing("metadata of images"):
            # Pixels first: a reader that sees the id of an image must find its pixels.
            self._pixels.cut(self.n_images)
            self._pixels.flush()
            self._columns.write(self.n_images)
            file.flush()
        self._disk.begin_write_back()
        self.n_flushed = self.n_images

    def finish(self, report: RunReport, logs: ValueLogs = NO_LOGS) -> None:
        """Write the end of the run, with what other programs have measured meanwhile, and close the file.

        After a failed write, this method still tries to save the images that were appended before. If that fails, too,
        the file stays as the last flush left it, and `std-daq recover` can repair it.

        Raises
        ------
        FileNotFoundError
            Somebody has removed or moved the file.
        OSError
            The end could not be written. If only the ids of lost images and the measured values did not fit, everything
            else is written.
        """
        file = self._check_open(even_failed=True)
        room = room_of(report) + room_of_logs(logs)
        has_room = not room or self._disk.hold(room)
        try:
            with self._writing("the end of the run"):
                self._columns.write(self.n_images)
                self._pixels.cut(self.n_images)
                if has_room:
                    write_lost_ids(self._lost_ids, report.lost_image_ids)
                    write_logs(self._logs, logs)
                file.flush()
                lost_ids = report.lost_image_ids if has_room else ()
                places = find_places(file, report, n_images=self.n_images, end=self._clock(), lost_ids=lost_ids)
                self._disk.overwrite(places)
            self.n_flushed = self.n_images
            self._has_failed = False  # everything is saved in spite of the earlier failure
            self._check_place()
        finally:
            self.close()
        if not has_room:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise explained_error(full, self.path, "cannot write the ids of the lost images, and measured values")

    def close(self) -> None:
        """Close the file without a verdict; do nothing if it is closed."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            if not self._has_failed:
                with self._writing("the end of the file"):
                    self._columns.write(self.n_images)
                    self._pixels.cut(self.n_images)
                    file.flush()
                self.n_flushed = self.n_images
                with self._writing("the end of the file"):
                    file.close()
                self._disk.begin_write_back()
        finally:
            if self._has_failed:
                close_regardless(file)
            self._disk.close()
            self._checksums.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self, *, even_failed: bool = False) -> h5py.File:
        if self._file is None:
            raise FileFormatError(f"{self.path}: the file is closed")
        if self._has_failed and not even_failed:
            raise FileFormatError(f"{self.path}: writing has failed before; finish or close the file")
        return self._file

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except HDF5_ERRORS as error:
            raise self._failed(what, error) from error

    def _failed(self, what: str, error: Exception) -> OSError:
        """Note that a write failed; return the OSError to raise, as h5py gives some failures no errno."""
        self._has_failed = True
        return explained_error(error, self.path, f"cannot write {what}")


def _filters(description: ImageFileDescription) -> dict[str, object]:
    """Return what h5py is told about the compression of the chunks."""
    if description.compression == "none":
        return {}
    if description.zstd_level is None:
        return dict(hdf5plugin.Bitshuffle(cname="lz4"))
    return dict(hdf5plugin.Bitshuffle(cname="zstd", clevel=description.zstd_level))


def _create_datasets(file: h5py.File, description: ImageFileDescription) -> None:
    """Create the pixels and the arrays with one row per image, all without rows."""
    pixels = create_pixels(file, layout.PIXELS, description.shape, description.dtype, _filters(description))
    write_text_attribute(pixels, "interpretation", "image")
    create_checksums(file)
    create_columns(file, description)
    create_logs(file, description.measured_units)
    mask = description.pixel_mask
    write_description_checksums(file, {} if mask is None else {layout.PIXEL_MASK: mask})
