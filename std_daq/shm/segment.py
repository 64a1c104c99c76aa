"""A segment: a file of shared memory with a header that describes its content.

It is mapped directly. ``multiprocessing.shared_memory`` cannot be used, because its resource tracker unlinks segments
of other processes. Only an owner creates a segment. After a restart, the owner takes over an existing segment with the
same geometry, so readers stay attached. A reader maps the segment read-only and never unlinks it.

In ``/dev/shm`` every user can make a file under the name of a segment. So whose file it is is checked before it is
mapped; see `std_daq.folders.owners`.
"""

import errno
import json
import mmap
import os
import re
import secrets
import stat
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Self

import numpy as np

from std_daq.errors import MissingRingError, SharedMemoryError
from std_daq.folders.open_folder import OpenFolder
from std_daq.folders.owners import distrust
from std_daq.shm.ring_lock import ring_lock
from std_daq.shm.writer_lock import is_writer_locked, take_writer_lock
from std_daq.telemetry.logs import ConditionLog, get_logger

PAGE = 4096
UNFINISHED_NAME = re.compile(r"\.(?P<ring>.+)\.[0-9a-f]{16}\.making")
MAGIC = b"STDDAQ\x00\x01"
LAYOUT_VERSION = 2
_conditions = ConditionLog(period_s=10.0)
_ALLOCATION_STEP = 256 * 2**20
_MADV_POPULATE_READ = 22
_MADV_POPULATE_WRITE = 23

HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("layout_version", "<u4"),
        ("state", "<u4"),
        ("creator_pid", "<u8"),
        ("created_ns", "<u8"),
        ("total_bytes", "<u8"),
        ("geometry_bytes", "<u8"),
        ("geometry", "S3072"),
    ]
)


class SegmentState(IntEnum):
    """State of a segment: in use (live), or replaced or removed (retired)."""

    LIVE = 1
    RETIRED = 2


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """The content of the header of a segment, for tools."""

    path: Path
    state: SegmentState
    creator_pid: int
    created_ns: int
    total_bytes: int
    geometry: dict[str, Any]


class Segment:
    """A mapped file of shared memory; `create_or_attach` or `attach` returns one."""

    def __init__(self, path: Path, fd: int, *, is_writable: bool) -> None:
        self.path = path
        self.is_writable = is_writable
        self._fd = fd
        size = os.fstat(fd).st_size
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if is_writable else 0)
        self._map = mmap.mmap(fd, size, flags=mmap.MAP_SHARED, prot=protection)
        self.bytes = np.frombuffer(self._map, dtype=np.uint8)
        self._header = self.bytes[: HEADER.itemsize].view(HEADER)

    @classmethod
    def create_or_attach(
        cls, path: Path, total_bytes: int, geometry: dict[str, Any], *, size_key: str
    ) -> tuple[Self, bool]:
        """Take over the segment at ``path`` if it has this geometry, else create it; for owners.

        An existing segment with another geometry is retired and replaced.

        Parameters
        ----------
        path, total_bytes
            Path and size of the file.
        geometry
            The description of the content that readers need.
        size_key
            The configuration key that sets the size; the error for too little memory names it.

        Returns
        -------
        The segment, and whether it is new (all zero after the header).

        Raises
        ------
        SharedMemoryError
            The directory is missing, not writable or too small, another process writes a segment with another
            geometry, or another user has made what is there; the error has the numbers and the remedy.
        """
        with _opened_folder(path.parent) as folder, ring_lock(folder, path.name):
            existing = cls._attach_if_equal(path, total_bytes, geometry, folder)
            segment = existing or cls._create(path, total_bytes, geometry, size_key, folder)
        segment.prefault(is_new=existing is None)
        return segment, existing is None

    @classmethod
    def attach(cls, path: Path, *, is_writable: bool = False, is_of_anybody: bool = False) -> Self:
        """Attach to an existing segment; if it may be of anybody, it is only listed or removed, and not believed.

        Raises
        ------
        MissingRingError
            The segment does not exist.
        SharedMemoryError
            The segment cannot be opened, or the file is not a segment of std-daq.
        """
        with _opened_folder(path.parent) as folder:
            return cls._attach_in(folder, path, is_writable=is_writable, is_of_anybody=is_of_anybody)

    @classmethod
    def _attach_in(cls, folder: OpenFolder, path: Path, *, is_writable: bool, is_of_anybody: bool = False) -> Self:
        try:
            fd = folder.open_file(path.name, os.O_RDWR if is_writable else os.O_RDONLY)
        except FileNotFoundError as error:
            raise _missing(path, error) from None
        except OSError as error:
            raise SharedMemoryError(f"{path}: cannot be attached: {error.strerror}") from None
        try:
            reason = "" if is_of_anybody else distrust(fd, folder.fd)
            if reason:
                # Who waits for a ring to come would wait for ever without a word.
                _conditions.warning("ring_not_trusted", path=str(path), problem=f"it {reason}")
                raise SharedMemoryError(f"{path}: cannot be attached: it {reason}")
            _check_header(path, fd)
            return cls(path, fd, is_writable=is_writable)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def _attach_if_equal(
        cls, path: Path, total_bytes: int, geometry: dict[str, Any], folder: OpenFolder
    ) -> Self | None:
        try:
            segment = cls._attach_in(folder, path, is_writable=True)
        except MissingRingError:
            return None
        except SharedMemoryError as error:
            raise SharedMemoryError(f"{error}; remove the file if no process uses it") from None
        if segment.info.geometry == geometry and segment.info.total_bytes == total_bytes and segment.is_live:
            return segment
        if segment.is_live and segment.has_writer:
            segment.close()
            raise SharedMemoryError(
                f"{path}: another process writes here, with another geometry; stop it (std-daq shm list shows it) "
                "before you start this process with a changed configuration"
            )
        get_logger().warning("ring_replaced", path=str(path), was=segment.info.geometry, becomes=geometry)
        segment.retire()
        segment.close()
        folder.remove(path.name)
        return None

    @classmethod
    def _create(cls, path: Path, total_bytes: int, geometry: dict[str, Any], size_key: str, folder: OpenFolder) -> Self:
        remove_unfinished(folder, path.name)
        _check_space(path, total_bytes, size_key)
        making = f".{path.name}.{secrets.token_hex(8)}.making"
        try:
            fd = folder.make(making, 0o660)
        except OSError as error:
            raise _uncreatable(path, error.strerror) from None
        try:
            os.fchmod(fd, 0o660)
            _allocate(path, fd, total_bytes)
            segment = cls(path, fd, is_writable=True)
            text = json.dumps(geometry, sort_keys=True).encode()
            if len(text) > HEADER["geometry"].itemsize:
                raise SharedMemoryError(f"{path}: the description of the geometry is too long ({len(text)} bytes)")
            header = segment._header
            header["magic"] = MAGIC
            header["layout_version"] = LAYOUT_VERSION
            header["creator_pid"] = os.getpid()
            header["created_ns"] = time.time_ns()
            header["total_bytes"] = total_bytes
            header["geometry_bytes"] = len(text)
            header["geometry"] = text
            header["state"] = SegmentState.LIVE
            os.rename(making, path.name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
        except BaseException:
            folder.remove(making)
            raise
        return segment

    def prefault(self, *, is_new: bool) -> None:
        """Map all pages now, because the first access to an unmapped page is slow, and would slow down the data flow.

        New pages are filled with zeros and mapped one by one. Existing pages are mapped for reading, which maps 16 at a
        time; in a tmpfs, pages that are mapped in this way can be written, too.
        """
        log = get_logger()
        advice = _MADV_POPULATE_WRITE if is_new else _MADV_POPULATE_READ
        for start in range(0, len(self._map), _ALLOCATION_STEP):
            length = min(_ALLOCATION_STEP, len(self._map) - start)
            # Kernels before 5.14 do not support this advice; there, the first access maps a page.
            with suppress(OSError):
                self._map.madvise(advice, start, length)
            if start:
                log.info("ring_prefault", path=str(self.path), done_bytes=start + length, of_bytes=len(self._map))

    @property
    def info(self) -> SegmentInfo:
        """The content of the header."""
        header = self._header[0]
        geometry = bytes(header["geometry"])[: int(header["geometry_bytes"])]
        return SegmentInfo(
            path=self.path,
            state=SegmentState(int(header["state"])),
            creator_pid=int(header["creator_pid"]),
            created_ns=int(header["created_ns"]),
            total_bytes=int(header["total_bytes"]),
            geometry=json.loads(geometry),
        )

    @property
    def created_ns(self) -> int:
        """Time of creation, in nanoseconds since 1970; it distinguishes segments of the same name."""
        return int(self._header[0]["created_ns"])

    @property
    def is_live(self) -> bool:
        """Whether this segment is in use; if it was retired or removed, readers attach again."""
        # A file that rm or the end of a login (RemoveIPC) removed was not retired, but has no links.
        return int(self._header[0]["state"]) == SegmentState.LIVE and os.fstat(self._fd).st_nlink > 0

    def lock(self, part: int, owner: str) -> None:
        """Become the only writer of a part until this segment is closed.

        Raises
        ------
        SharedMemoryError
            Another process is the writer of the part, or has just replaced the segment.
        """
        if not take_writer_lock(self._fd, part):
            raise SharedMemoryError(
                f"{self.path}: another process already writes here as {owner}; stop it before you start this one"
            )
        if not self.is_live:
            raise SharedMemoryError(f"{self.path}: was replaced while this process started; start this process again")

    @property
    def has_writer(self) -> bool:
        """Whether any part has a writer; a writer that locked its part through this object is not counted."""
        return is_writer_locked(self._fd)

    def retire(self) -> None:
        """Mark the segment as retired, which tells readers that it will not be written any more."""
        self._header["state"] = SegmentState.RETIRED

    def remove(self) -> None:
        """Retire the segment and remove its file; a process that has mapped it keeps the memory until it unmaps it."""
        self.retire()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the mapping; the memory stays mapped as long as an array refers to it."""
        if self._fd < 0:
            return
        del self.bytes, self._header
        with suppress(BufferError):
            self._map.close()
        os.close(self._fd)
        self._fd = -1


def list_segments(directory: Path) -> list[SegmentInfo]:
    """Return the headers of all std-daq segments in a directory."""
    found = []
    for path in sorted(directory.iterdir()):
        if not path.is_file() or path.is_symlink():
            continue
        try:
            segment = Segment.attach(path, is_of_anybody=True)
        except SharedMemoryError:
            continue
        found.append(segment.info)
        segment.close()
    return found


def remove_unfinished(folder: OpenFolder, ring: str) -> list[Path]:
    """Remove the files of owners that were killed while they created a ring; only under the lock of the ring."""
    removed = []
    for name in folder.names():
        found = UNFINISHED_NAME.fullmatch(name)
        if found and found["ring"] == ring:
            with suppress(OSError):  # another user's: it stays, and takes part in nothing
                folder.remove(name)
                removed.append(folder.path / name)
    return removed


def _opened_folder(directory: Path) -> OpenFolder:
    try:
        return OpenFolder.open(directory)
    except OSError as error:
        raise SharedMemoryError(
            f"{directory}: cannot be used for shared memory: {error.strerror}; set shared_memory.directory"
        ) from None


def _missing(path: Path, error: OSError) -> MissingRingError:
    return MissingRingError(f"{path}: cannot be attached: {error.strerror}; is the service that owns it running?")


def _check_header(path: Path, fd: int) -> None:
    raw = os.pread(fd, HEADER.itemsize, 0)
    problem = None
    if len(raw) < HEADER.itemsize or raw[: len(MAGIC)] != MAGIC:
        problem = "is not shared memory of std-daq"
    else:
        header = np.frombuffer(raw, HEADER)[0]
        if header["layout_version"] != LAYOUT_VERSION:
            problem = f"has layout version {header['layout_version']}, but this std-daq uses version {LAYOUT_VERSION}"
        elif os.fstat(fd).st_size != header["total_bytes"]:
            problem = f"is truncated: {os.fstat(fd).st_size} of {header['total_bytes']} bytes"
        elif not _is_readable(header):
            problem = "has nonsense in its header"
    if problem:
        raise SharedMemoryError(f"{path}: {problem}")


def _is_readable(header: np.void) -> bool:
    """Return whether state and geometry of a header are such as `Segment.create_or_attach` writes."""
    try:
        SegmentState(int(header["state"]))
        return isinstance(json.loads(bytes(header["geometry"])[: int(header["geometry_bytes"])]), dict)
    except (ValueError, RecursionError):
        return False


def damaged_segments(directory: Path) -> list[str]:
    """Return a text for each file that begins like a segment, and that no process of this version can use as one."""
    found = []
    for path in sorted(directory.iterdir()):
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if stat.S_ISREG(os.fstat(fd).st_mode) and os.pread(fd, len(MAGIC), 0) == MAGIC:
                    _check_header(path, fd)
            except SharedMemoryError as error:
                found.append(str(error))
            finally:
                os.close(fd)
    return found


@dataclass(frozen=True, slots=True)
class PlannedSegment:
    """A segment that a service will create: its path and size, and the configuration key that sets the size."""

    path: Path
    total_bytes: int
    size_key: str


def check_room(planned: Iterable[PlannedSegment]) -> None:
    """Check, without creating anything, that there is room for all of these; one that is there makes room for its heir.

    Raises
    ------
    SharedMemoryError
        The directory is missing, not writable or too small; the error is that of `Segment.create_or_attach`.
    """
    n_more: Counter[Path] = Counter()
    for one in planned:
        directory = one.path.parent
        _opened_folder(directory).close()
        there = one.path.stat().st_size if one.path.is_file() else 0
        if not there and not os.access(directory, os.W_OK | os.X_OK):
            raise _uncreatable(one.path, os.strerror(errno.EACCES))
        _check_space(one.path, one.total_bytes, one.size_key, there - n_more[directory])
        n_more[directory] += one.total_bytes - there


def _uncreatable(path: Path, reason: str | None) -> SharedMemoryError:
    return SharedMemoryError(
        f"{path}: cannot be created: {reason}; set shared_memory.directory, or change who may write there"
    )


def _check_space(path: Path, total_bytes: int, size_key: str, more_bytes: int = 0) -> None:
    space = os.statvfs(path.parent)
    free = max(0, space.f_bavail * space.f_frsize + more_bytes)
    if total_bytes > free:
        size = space.f_blocks * space.f_frsize
        raise SharedMemoryError(
            f"{path}: {total_bytes / 1e9:.3f} GB are needed, "
            f"but {free / 1e9:.3f} of {size / 1e9:.3f} GB are free in {path.parent}; "
            f"make {size_key} smaller, remove old rings (std-daq shm clean), "
            "or enlarge the mount (mount -o remount,size=...; in containers RINGS_SIZE of the beamline's .env)"
        )


def _allocate(path: Path, fd: int, total_bytes: int) -> None:
    log = get_logger()
    for start in range(0, total_bytes, _ALLOCATION_STEP):
        length = min(_ALLOCATION_STEP, total_bytes - start)
        try:
            os.posix_fallocate(fd, start, length)
        except OSError as error:
            raise SharedMemoryError(
                f"{path.parent}: no room for {total_bytes / 1e9:.3f} GB: {error.strerror} after {start / 1e9:.3f} GB"
            ) from None
        if start:
            log.info("ring_allocate", path=str(path), done_bytes=start + length, of_bytes=total_bytes)
