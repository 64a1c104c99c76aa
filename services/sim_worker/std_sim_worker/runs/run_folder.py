"""RunFolder: a run on disk.

A worker that is killed loses nothing that it has accepted: an event is a file of its own before its client is told, and
its hits are in the file of hits before that is removed. What the kernel has been given outlives the process; it is not
forced to the disk for each event.

::

    NAME.charon.run/
        requests/000000000007    an event that is not simulated yet
        lost/000000000003        an event that could not be read; it is kept beside the run when this is removed
        hits                     the hits of the events before, in their order
        starts                   how often a worker has begun at the same event, while that was there
        ended                    there once the run has ended
"""

import errno
import fcntl
import os
import shutil
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ResourceError
from std_daq.folders.owners import make_work_folder
from std_daq.photons.protocol import DIGEST_BYTES, Frames, photons_of
from std_daq.photons.records import HIT
from std_daq.telemetry.logs import get_logger
from std_sim_worker.runs.request_file import (
    file_name,
    place_in,
    read_digest,
    read_event,
    write_all,
    write_request,
)

SUFFIX = ".charon.run"
_LOST_SUFFIX = ".charon.lost"
_ROW = struct.Struct("<4sII16sI")  # mark, event id, number of hits, digest of the request, CRC-32 of the hits
_MARK = b"hits"
_LOST_MARK = b"lost"  # stands for an event whose file was damaged, as by a power cut
_NO_DIGEST = bytes(DIGEST_BYTES)
_LOST = "lost"
# More events in a row do not get lost by a power cut. A file behind such a gap is of somebody else.
_MAX_GAP = 1_000_000


class RunFolder:
    """A run on disk; the folder is locked for this process.

    Parameters
    ----------
    path
        The folder; it is made if it is not there.

    Raises
    ------
    ResourceError
        Another process has this run, or somebody else may have made the folder.
    OSError
        The folder cannot be written, or its hits cannot be read.

    Attributes
    ----------
    n_done, n_received
        Number of events that were simulated, and of all.
    n_starts
        How often, this time included, the run was opened while an event waited, without one having been simulated in
        between; 1 if none waits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._requests = path / "requests"
        make_work_folder(path)
        self._requests.mkdir(exist_ok=True)
        self._lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ResourceError(f"{path} is the run of another worker; choose another --output-directory") from None
        try:
            self._hits: BinaryIO = _open_hits(path / "hits")
        except OSError:
            os.close(self._lock)
            raise
        self.digests: set[bytes] = set()
        self._end_of_rows = 0
        try:
            self.n_done = self._read_rows()
            self.n_received = self._n_found = self._read_requests()
            self.n_starts = self._count_start()
        except OSError:
            self.close()
            raise

    @classmethod
    def of(cls, directory: Path, name: str) -> Self:
        """Return the run with a name in a directory."""
        return cls(directory / f"{name}{SUFFIX}")

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended, and no event belongs to it any more."""
        return (self.path / "ended").exists()

    @property
    def is_done(self) -> bool:
        """Whether the hits of all events are there."""
        return self.n_done == self.n_received

    def end(self) -> None:
        """Note that the run has ended."""
        (self.path / "ended").touch()

    def add(self, digest: bytes, request: Frames) -> int:
        """Store an event; returns its place in the run."""
        place = self.n_received
        making = self.path / "making"
        write_request(making, digest, request)
        making.rename(self._request(place))
        self.digests.add(digest)
        self.n_received += 1
        return place

    def request(self, place: int) -> tuple[bytes, list[memoryview]]:
        """Return digest and frames of an event that is not simulated yet.

        Raises
        ------
        ValueError
            The file of the event cannot be read, is damaged or gone, as after a power cut; the error says which file it
            is, and why.
        """
        # What this process has written itself is not computed once more.
        return read_event(self._request(place), check=place < self._n_found)

    def photons(self, place: int) -> NDArray[np.void]:
        """Return the photons of an event that is not simulated yet."""
        return photons_of(self.request(place)[1])

    def store(self, digest: bytes, event_id: int, hits: NDArray[np.void]) -> None:
        """Store the hits of the next event, and forget its photons.

        Raises
        ------
        OSError
            They cannot be written, as on a full disk; nothing has changed then.
        """
        body = hits.tobytes()
        self._add_row(_ROW.pack(_MARK, event_id, len(hits), digest, zlib.crc32(body)) + body)

    def store_lost(self) -> None:
        """Note that the next event is lost, because its file is damaged; it has no row in the file of the run.

        What is left of its file is kept. If a client sends it again, it is a new event.

        Raises
        ------
        OSError
            This cannot be written; nothing has changed then.
        """
        path = self._request(self.n_done)
        digest = _NO_DIGEST
        with suppress(ValueError):  # it may be gone
            digest = read_digest(path)
        kept = self.path / _LOST
        kept.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            path.rename(kept / path.name)
        self._add_row(_ROW.pack(_LOST_MARK, 0, 0, _NO_DIGEST, 0))
        self.digests.discard(digest)

    def _add_row(self, row: bytes) -> None:
        try:
            write_all(self._hits, row)
        except OSError:
            self._hits.truncate(self._end_of_rows)  # a row behind half a row would not be found
            raise
        self._end_of_rows += len(row)
        with suppress(OSError):  # the row counts: a file that stays is left alone when the run is opened again
            self._request(self.n_done).unlink()
        self.n_done += 1

    def waiting(self) -> range:
        """Return the places of the events that are not simulated yet."""
        return range(self.n_done, self.n_received)

    def rows(self) -> Iterator[tuple[int, NDArray[np.void]]]:
        """Yield event id and hits of each event that was simulated."""
        with (self.path / "hits").open("rb") as file:
            for digest, event_id, hits in _rows(file):
                if digest is not None:
                    yield event_id, hits

    def close(self) -> None:
        """Leave the run as it is; whoever opens it again goes on with it."""
        self._hits.close()
        os.close(self._lock)

    def remove(self) -> None:
        """Remove the folder of a run whose hits are in their file; what is kept of lost events stays beside it.

        Raises
        ------
        OSError
            The folder cannot be removed.
        """
        kept = self.path / _LOST
        if kept.exists():
            number, target = 1, self._kept_path("")
            while target.exists():
                number, target = number + 1, self._kept_path(f".{number}")
            kept.rename(target)
            get_logger().warning("lost_events_kept", run=self.name, folder=str(target))
        shutil.rmtree(self.path)
        self.close()

    def _kept_path(self, number: str) -> Path:
        return self.path.with_name(f"{self.name}{_LOST_SUFFIX}{number}")

    def _request(self, place: int) -> Path:
        return self._requests / file_name(place)

    def _read_rows(self) -> int:
        """Return the number of rows; cuts off one that was not written to its end."""
        n_rows = 0
        self._hits.seek(0)
        for digest, _, _ in _rows(self._hits):
            n_rows += 1
            self._end_of_rows = self._hits.tell()
            if digest is not None:
                self.digests.add(digest)
        self._hits.truncate(self._end_of_rows)
        return n_rows

    def _read_requests(self) -> int:
        """Return the number of events so far; removes those whose hits are there."""
        n_received = self.n_done
        # File systems and editors leave files of other names, such as .nfs0000 where one is removed while it is open.
        places = ((place_in(path.name), path) for path in self._requests.iterdir())
        for place, path in sorted((place, path) for place, path in places if place is not None):
            if place < self.n_done:
                with suppress(OSError):
                    path.unlink()
                continue
            if place - n_received > _MAX_GAP:
                get_logger().warning("not_an_event", file=str(path), events_before=n_received)
                break
            with suppress(ValueError):  # its turn comes, and it is lost
                self.digests.add(read_digest(path))
            n_received = place + 1
        return n_received

    def _count_start(self) -> int:
        path = self.path / "starts"
        try:
            place, n_starts = map(int, path.read_text().split())
        except (OSError, ValueError):
            place, n_starts = self.n_done, 0
        # Where no event waited, none can have ended the worker. The first to come may end it in this start.
        n_starts = n_starts + 1 if place == self.n_done and self.waiting() else 1
        with suppress(OSError):  # as on a full disk; the run goes on, and this start is not counted
            path.write_text(f"{self.n_done} {n_starts}")
        return n_starts


def _open_hits(path: Path) -> BinaryIO:
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.fdopen(fd, "a+b", buffering=0)
    os.close(fd)
    raise OSError(errno.EINVAL, "is no file", str(path))


def _rows(file: BinaryIO) -> Iterator[tuple[bytes | None, int, NDArray[np.void]]]:
    """Yield digest, event id and hits of each event; in place of the digest None for an event that is lost."""
    end = os.fstat(file.fileno()).st_size
    while len(head := file.read(_ROW.size)) == _ROW.size:
        mark, event_id, n_hits, digest, crc = _ROW.unpack(head)
        # A damaged number may be that of more hits than there is memory for.
        body = file.read(min(n_hits * HIT.itemsize, max(0, end - file.tell())))
        if mark not in {_MARK, _LOST_MARK} or len(body) != n_hits * HIT.itemsize or zlib.crc32(body) != crc:
            return
        yield None if mark == _LOST_MARK else digest, event_id, np.frombuffer(body, HIT)
