"""The messages of the photon simulation: requests, replies, and what a request says, as frames of ZMQ messages.

A message is a list of frames: an ASCII header, then one frame for each array, raw and little-endian. The page
``docs/reference/wire/photon-simulation.md`` has all messages. Nothing here raises for what a peer has sent: a request
that cannot be read becomes a `Malformed` with the answer that it gets.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.records import HIT, PHOTON

PING = b"PING"
ACK = b"ACK"
RUN_BEGIN = b"RUN_BEGIN"
RUN_END = b"RUN_END"
DETECTOR_INFO = b"DETECTOR_INFO"
PHOTONDATA = b"PHOTONDATA"
SIM_COMPLETE = b"SIM_COMPLETE"
SIM_COMPLETE_ASYNC = b"SIM_COMPLETE_ASYNC"
SIM_FAILED = b"SIM_FAILED"
UNKNOWN_REQUEST = b"UNKNOWN_REQUEST"
NO_WORKERS = b"NO_WORKERS"

READY = b"\x01"
"""What a worker sends to a router when it has connected."""
HEARTBEAT = b"\x02"
"""What a worker and a router send each other while there is nothing else to send."""

Frame: TypeAlias = bytes | memoryview
Frames: TypeAlias = Sequence[Frame]

N_REQUEST_FRAMES = 2 + len(PHOTON.names or ())
N_REPLY_FRAMES = 2 + len(HIT.names or ())
MAX_EVENT_ID = 2**32 - 1
DIGEST_BYTES = 16
_FIELD_BYTES = 4
_METADATA = struct.Struct("<II")
_EVENT_ID = struct.Struct("<I")
_N_RUN_BEGIN_FRAMES = 2
_MAX_HEADER_BYTES = 64
_REQUESTS = frozenset({PHOTONDATA, PING, RUN_BEGIN, RUN_END, DETECTOR_INFO})


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks whether somebody is there."""


@dataclass(frozen=True, slots=True)
class RunBegin:
    """A run begins.

    Parameters
    ----------
    name
        The file name as it came; it may be empty, no text, or lead anywhere.
    """

    name: bytes


@dataclass(frozen=True, slots=True)
class RunEnd:
    """A run ends."""


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """Asks for the channels of the detector."""


@dataclass(frozen=True, slots=True)
class PhotonData:
    """Asks for the hits of an event.

    Parameters
    ----------
    event_id
        Number of the event; several clients may use the same.
    n_photons
        Number of photons.
    """

    event_id: int
    n_photons: int


@dataclass(frozen=True, slots=True)
class Malformed:
    """What is no request.

    Parameters
    ----------
    reply
        The answer that it gets.
    """

    reply: list[bytes]


Request: TypeAlias = Ping | RunBegin | RunEnd | DetectorInfo | PhotonData | Malformed


def read_request(frames: Frames) -> Request:
    """Return what a request says; looks at no photon, so that its cost does not depend on their number.

    Parameters
    ----------
    frames
        The frames behind the empty frame that ends the envelope.
    """
    header = bytes(frames[0]) if frames and len(frames[0]) <= _MAX_HEADER_BYTES else b""
    if header == PHOTONDATA:
        return _read_photon_data(frames)
    if header == PING:
        return Ping()
    if header == RUN_BEGIN and len(frames) == _N_RUN_BEGIN_FRAMES:
        return RunBegin(bytes(frames[1]))
    if header == RUN_END:
        return RunEnd()
    if header == DETECTOR_INFO:
        return DetectorInfo()
    return Malformed([UNKNOWN_REQUEST])


def is_request(frames: Frames) -> bool:
    """Return whether a message begins as a request does; whoever sends such a message is taken for a client."""
    return bool(frames) and len(frames[0]) <= _MAX_HEADER_BYTES and bytes(frames[0]) in _REQUESTS


def _read_photon_data(frames: Frames) -> PhotonData | Malformed:
    if len(frames) == 1 or len(frames[1]) != _METADATA.size:
        return Malformed([UNKNOWN_REQUEST])
    event_id, n_photons = _METADATA.unpack(frames[1])
    arrays = frames[2:N_REQUEST_FRAMES]
    if len(frames) < N_REQUEST_FRAMES or any(len(array) != _FIELD_BYTES * n_photons for array in arrays):
        return Malformed(failed_reply(event_id))
    return PhotonData(event_id, n_photons)


def digest_of(frames: Frames) -> bytes:
    """Return 16 bytes that tell a request from all others, and are the same for each copy of it.

    They begin the SHA-256 of its frames: processors have instructions for that, which are twice as fast as BLAKE2b.
    Frames that the protocol ignores do not count.
    """
    digest = hashlib.sha256()
    for frame in frames[:N_REQUEST_FRAMES]:
        digest.update(frame)
    return digest.digest()[:DIGEST_BYTES]


def job_key(digest: bytes) -> int:
    """Return the 64 bits of a request's digest that select its random numbers."""
    return int.from_bytes(digest[:8], "little")


def photons_of(frames: Frames) -> NDArray[np.void]:
    """Return the photons of a request that `read_request` has found to be a `PhotonData`: records of `PHOTON`."""
    _, n_photons = _METADATA.unpack(frames[1])
    photons = np.empty(n_photons, PHOTON)
    for name, frame in zip(PHOTON.names or (), frames[2:N_REQUEST_FRAMES], strict=True):
        photons[name] = np.frombuffer(frame, PHOTON[name])
    return photons


def photon_request(event_id: int, photons: NDArray[np.void]) -> list[bytes]:
    """Return the request for the hits of an event.

    Parameters
    ----------
    event_id
        Number of the event, 0 to `MAX_EVENT_ID`.
    photons
        Records of `PHOTON`.
    """
    arrays = (photons[name].tobytes() for name in PHOTON.names or ())
    return [PHOTONDATA, _METADATA.pack(event_id, len(photons)), *arrays]


def run_begin_request(name: str) -> list[bytes]:
    """Return the request that begins a run with a file name."""
    return [RUN_BEGIN, name.encode()]


def hits_reply(event_id: int, hits: NDArray[np.void]) -> list[bytes]:
    """Return the reply with the hits of an event, records of `HIT`."""
    arrays = (hits[name].tobytes() for name in HIT.names or ())
    return [SIM_COMPLETE, _EVENT_ID.pack(event_id), *arrays]


def failed_reply(event_id: int) -> list[bytes]:
    """Return the reply to an event that cannot be simulated."""
    return [SIM_FAILED, _EVENT_ID.pack(event_id)]


def accepted_reply(event_id: int) -> list[bytes]:
    """Return the reply to an event whose hits go into a file."""
    return [SIM_COMPLETE_ASYNC, _EVENT_ID.pack(event_id)]


def detector_info_reply(positions: NDArray[np.float32], types: NDArray[np.int32]) -> list[bytes]:
    """Return the reply with the channels: their places in mm, shape (n, 3), and their types."""
    columns = np.ascontiguousarray(positions.astype("<f4", copy=False).T)
    return [DETECTOR_INFO, *(column.tobytes() for column in columns), types.astype("<i4", copy=False).tobytes()]
