"""RunFolder: a run on disk.

A worker that is killed loses nothing that it has accepted: an event is a file of its own before its client is told, and
its hits are in the file of hits before that is removed. What the kernel has been given outlives the process; it is not
forced to the disk for each event.

::

    NAME.charon.run/
        requests/000000000007    an event that is not simulated yet
        hits                     the hits of the events before, in their order
        starts                   how often a worker has begun at the same event
        ended                    there once the run has ended
"""

import fcntl
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ResourceError
from std_daq.folders.owners import make_work_folder
from std_daq.photons.protocol import DIGEST_BYTES, N_REQUEST_FRAMES, Frames, photons_of
from std_daq.photons.records import HIT

SUFFIX = ".charon.run"
_ROW = struct.Struct("<4sII16sI")  # mark, event id, number of hits, digest of the request, CRC-32 of the hits
_MARK = b"hits"
_REQUEST = struct.Struct("<16sI")  # digest of the request, length of its second frame


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
        The folder cannot be written.

    Attributes
    ----------
    n_done, n_received
        Number of events that were simulated, and of all.
    n_starts
        How often, this time included, the run was opened without an event having been simulated in between.
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
        self._hits: BinaryIO = (path / "hits").open("a+b", buffering=0)
        self.digests: set[bytes] = set()
        self._end_of_rows = 0
        self.n_done = self._read_rows()
        self.n_received = self._read_requests()
        self.n_starts = self._count_start()

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
        with making.open("wb", buffering=0) as file:
            for piece in (_REQUEST.pack(digest, len(request[1])), *request[1:N_REQUEST_FRAMES]):
                _write_all(file, piece)
        making.rename(self._request(place))
        self.digests.add(digest)
        self.n_received += 1
        return place

    def request(self, place: int) -> tuple[bytes, list[memoryview]]:
        """Return digest and frames of an event that is not simulated yet."""
        content = memoryview(self._request(place).read_bytes())
        digest, n_metadata = _REQUEST.unpack_from(content)
        arrays = content[_REQUEST.size + n_metadata :]
        n_bytes = len(arrays) // (N_REQUEST_FRAMES - 2)
        frames = [content[:0], content[_REQUEST.size : _REQUEST.size + n_metadata]]
        frames += [arrays[index * n_bytes : (index + 1) * n_bytes] for index in range(N_REQUEST_FRAMES - 2)]
        return digest, frames

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
        row = _ROW.pack(_MARK, event_id, len(hits), digest, zlib.crc32(body)) + body
        try:
            _write_all(self._hits, row)
        except OSError:
            self._hits.truncate(self._end_of_rows)  # a row behind half a row would not be found
            raise
        self._end_of_rows += len(row)
        self._request(self.n_done).unlink()
        self.n_done += 1

    def waiting(self) -> range:
        """Return the places of the events that are not simulated yet."""
        return range(self.n_done, self.n_received)

    def rows(self) -> Iterator[tuple[int, NDArray[np.void]]]:
        """Yield event id and hits of each event that was simulated."""
        with (self.path / "hits").open("rb") as file:
            for _, event_id, hits in _rows(file):
                yield event_id, hits

    def close(self) -> None:
        """Leave the run as it is; whoever opens it again goes on with it."""
        self._hits.close()
        os.close(self._lock)

    def remove(self) -> None:
        """Remove the folder of a run whose hits are in their file."""
        shutil.rmtree(self.path)
        self.close()

    def _request(self, place: int) -> Path:
        return self._requests / f"{place:012d}"

    def _read_rows(self) -> int:
        """Return the number of rows; cuts off one that was not written to its end."""
        n_rows = 0
        self._hits.seek(0)
        for digest, _, _ in _rows(self._hits):
            n_rows += 1
            self._end_of_rows = self._hits.tell()
            self.digests.add(digest)
        self._hits.truncate(self._end_of_rows)
        return n_rows

    def _read_requests(self) -> int:
        """Return the number of events so far; removes those whose hits are there."""
        n_received = self.n_done
        for path in sorted(self._requests.iterdir()):
            if int(path.name) < self.n_done:
                path.unlink()
                continue
            with path.open("rb") as file:
                self.digests.add(file.read(DIGEST_BYTES))
            n_received = int(path.name) + 1
        return n_received

    def _count_start(self) -> int:
        path = self.path / "starts"
        try:
            place, n_starts = map(int, path.read_text().split())
        except (FileNotFoundError, ValueError):
            place, n_starts = self.n_done, 0
        n_starts = n_starts + 1 if place == self.n_done else 1
        path.write_text(f"{self.n_done} {n_starts}")
        return n_starts


def _rows(file: BinaryIO) -> Iterator[tuple[bytes, int, NDArray[np.void]]]:
    while len(head := file.read(_ROW.size)) == _ROW.size:
        mark, event_id, n_hits, digest, crc = _ROW.unpack(head)
        body = file.read(n_hits * HIT.itemsize)
        if mark != _MARK or len(body) != n_hits * HIT.itemsize or zlib.crc32(body) != crc:
            return
        yield digest, event_id, np.frombuffer(body, HIT)


def _write_all(file: BinaryIO, piece: "bytes | memoryview") -> None:
    view: Sequence[int] | memoryview = memoryview(piece)
    while len(view):
        view = view[file.write(view) :]  # type: ignore[arg-type]
