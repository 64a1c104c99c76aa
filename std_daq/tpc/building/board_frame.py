"""BoardFrame: a frame of a board as the builder takes it, and what became of it."""

from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from std_daq.tpc.electronics import Board

T = TypeVar("T")


class FrameOutcome(StrEnum):
    """What became of a frame; each frame has one."""

    USED = "used"
    DUPLICATE = "duplicate"
    LATE = "late"
    UNEXPECTED = "unexpected"
    DAMAGED = "damaged"
    TOPOLOGY = "topology"


class BoardFrame(NamedTuple, Generic[T]):
    """A frame for the builder: where it comes from, what it says of itself, its content and the size of that."""

    source: int
    board: Board
    event_id: int
    event_time: int
    payload: T
    n_bytes: int
    arrived_ns: int
