"""What a reply of the photon simulation says, for clients."""

import struct
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import SimulationError
from std_daq.photons import protocol
from std_daq.photons.backend import Channels
from std_daq.photons.protocol import Frames
from std_daq.photons.records import HIT

_EVENT_ID = struct.Struct("<I")
_N_SHORT_FRAMES = 2
_N_DETECTOR_INFO_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Hits:
    """The hits of an event.

    Parameters
    ----------
    event_id
        Number of the event.
    hits
        Records of `HIT`, in the order of their photons.
    """

    event_id: int
    hits: NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server simulates the event later, and writes its hits to a file."""

    event_id: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The event cannot be simulated."""

    event_id: int


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer without an event.

    Parameters
    ----------
    header
        ``NO_WORKERS`` or ``UNKNOWN_REQUEST``, or whatever else came.
    """

    header: str


EventReply: TypeAlias = Hits | Accepted | Failed | Refused


def read_event_reply(frames: Frames) -> EventReply:
    """Return what the reply to an event says."""
    header = bytes(frames[0]) if frames else b""
    if len(frames) >= _N_SHORT_FRAMES and len(frames[1]) == _EVENT_ID.size:
        event_id = _EVENT_ID.unpack(frames[1])[0]
        if header == protocol.SIM_COMPLETE and (hits := _hits(frames)) is not None:
            return Hits(event_id, hits)
        if header == protocol.SIM_COMPLETE_ASYNC:
            return Accepted(event_id)
        if header == protocol.SIM_FAILED:
            return Failed(event_id)
    return Refused(header.decode("ascii", "replace"))


def read_detector_info(frames: Frames) -> Channels:
    """Return the channels that a reply tells.

    Raises
    ------
    SimulationError
        It is another reply, or its arrays do not fit.
    """
    if len(frames) < _N_DETECTOR_INFO_FRAMES or bytes(frames[0]) != protocol.DETECTOR_INFO:
        raise SimulationError(f"the server does not tell its channels, it answers {_shown(frames)}")
    lengths = {len(frame) for frame in frames[1:_N_DETECTOR_INFO_FRAMES]}
    if len(lengths) != 1 or lengths.pop() % 4:
        raise SimulationError("the server's list of channels has columns of different lengths")
    x, y, z = (np.frombuffer(frame, "<f4") for frame in frames[1:4])
    return Channels(np.stack([x, y, z], axis=1), np.frombuffer(frames[4], "<i4"))


def _hits(frames: Frames) -> NDArray[np.void] | None:
    arrays = frames[2 : protocol.N_REPLY_FRAMES]
    if len(frames) < protocol.N_REPLY_FRAMES or len({len(array) for array in arrays}) != 1 or len(arrays[0]) % 4:
        return None
    hits = np.empty(len(arrays[0]) // 4, HIT)
    for name, array in zip(HIT.names or (), arrays, strict=True):
        hits[name] = np.frombuffer(array, HIT[name])
    return hits


def _shown(frames: Frames) -> str:
    return bytes(frames[0][:32]).decode("ascii", "replace") if frames else "nothing"
