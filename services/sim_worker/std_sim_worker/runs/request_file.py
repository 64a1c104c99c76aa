"""The file of an event that a worker has accepted: the request of a client, as it came."""

import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from std_daq.photons.protocol import (
    DIGEST_BYTES,
    N_REQUEST_FRAMES,
    PHOTONDATA,
    Frames,
    PhotonData,
    digest_of,
    read_request,
)

_HEAD = struct.Struct("<16sI")  # digest of the request, length of its second frame
_METADATA_BYTES = 8
_FIELD_BYTES = 4  # of an array, for each photon
_N_DIGITS = 12
_N_ARRAYS = N_REQUEST_FRAMES - 2
_NAME = re.compile(rf"[0-9]{{{_N_DIGITS}}}")


def file_name(place: int) -> str:
    """Return the name of the file of an event, given its place in the run."""
    return f"{place:0{_N_DIGITS}d}"


def place_in(name: str) -> int | None:
    """Return the place that a file's name tells; None if it is no name of an event."""
    return int(name) if _NAME.fullmatch(name) else None


def write_request(path: Path, digest: bytes, request: Frames) -> None:
    """Write a request that is `PhotonData`; raises OSError."""
    with path.open("wb", buffering=0) as file:
        for piece in (_HEAD.pack(digest, len(request[1])), *request[1:N_REQUEST_FRAMES]):
            write_all(file, piece)


def read_digest(path: Path) -> bytes:
    """Return the digest that a file begins with, unchecked; raises ValueError where there is none."""
    with _opened(path) as (file, _):
        return _read(file, DIGEST_BYTES)


def read_event(path: Path, *, check: bool) -> tuple[bytes, list[memoryview]]:
    """Return digest and frames of an event.

    Parameters
    ----------
    path
        The file.
    check
        Whether to compute the digest and compare it.

    Raises
    ------
    ValueError
        The file cannot be read, is damaged or gone; the error says which file it is, and why.
    """
    with _opened(path) as (file, n_bytes):
        head = _read(file, _HEAD.size + _METADATA_BYTES)
        if len(head) < _HEAD.size + _METADATA_BYTES:
            raise ValueError(f"{path} is gone, or was not written to its end")
        digest, n_metadata = _HEAD.unpack_from(head)
        array_bytes = _FIELD_BYTES * int.from_bytes(head[-_FIELD_BYTES:], "little")
        # Memory is taken only for what the file has: a damaged number may be that of more photons than there is room
        # for, and so may the size of a file that is no event.
        if n_metadata != _METADATA_BYTES or n_bytes != len(head) + _N_ARRAYS * array_bytes:
            raise ValueError(f"{path} is damaged")
        arrays = memoryview(_read(file, n_bytes))
    frames = [memoryview(b""), memoryview(head)[_HEAD.size :]]
    frames += [arrays[i * array_bytes : (i + 1) * array_bytes] for i in range(_N_ARRAYS)]
    request: list[bytes | memoryview] = [PHOTONDATA, *frames[1:]]
    if not isinstance(read_request(request), PhotonData) or (check and digest_of(request) != digest):
        raise ValueError(f"{path} is damaged")
    return digest, frames


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file, and give its size as well; raises ValueError if it cannot be read, or is none."""
    try:
        # A pipe in the place of a file would let the worker wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise ValueError(f"{path} is no file")
        with os.fdopen(fd, "rb", buffering=0) as file:
            yield file, status.st_size
    except FileNotFoundError:
        raise ValueError(f"{path} is gone, or was not written to its end") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _read(file: BinaryIO, n_bytes: int) -> bytes:
    """Return so many bytes, or as many as there are."""
    pieces = []
    while n_bytes and (piece := file.read(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def write_all(file: BinaryIO, piece: bytes | memoryview) -> None:
    """Write all bytes to an unbuffered file; raises OSError."""
    view = memoryview(piece)
    while len(view):
        view = view[file.write(view) :]
