"""Event: an event of a ring, either in place or as a copy."""

import numpy as np
from numpy.typing import NDArray

from std_daq.native.ordered_words import is_unchanged
from std_daq.tpc.events.board_bits import boards_of_bits
from std_daq.tpc.events.metadata import EventMetadata, EventStatus, decode_event_metadata

_NO_FRAMES = np.empty(0, np.uint8)


class Event:
    """The traces and the metadata of one event.

    An event in place is a view of the memory of the ring, which the builder may overwrite at any time. Call `is_intact`
    after use, and discard all results if it returns False. A copy is never overwritten.

    Parameters
    ----------
    traces
        int16 (n_traces, 517): cobo, asad, aget, channel, pad, and 512 samples as they were sent; rows ascend in column
        4, the pad. An event may have no traces.
    metadata_bytes, missing_bits
        Copies of the EventMetadata, and of the missing boards as bits.
    generations, slot, generation
        For an event in place: the generations of the ring, the slot, and the even generation under which the event was
        found.
    frames
        The bytes of its frames, one behind the other, uint8; none if the builder does not keep them.

    Attributes
    ----------
    traces, metadata_bytes, missing_bits, frames
        As given. The traces of an event in place cannot be written.
    metadata
        All fields of the EventMetadata.
    """

    __slots__ = (
        "_generation",
        "_generations",
        "_slot",
        "frames",
        "metadata",
        "metadata_bytes",
        "missing_bits",
        "traces",
    )

    def __init__(
        self,
        traces: NDArray[np.int16],
        metadata_bytes: bytes,
        missing_bits: bytes,
        generations: NDArray[np.uint64] | None = None,
        slot: int = 0,
        generation: int = 0,
        *,
        frames: NDArray[np.uint8] = _NO_FRAMES,
    ) -> None:
        self.traces = traces
        self.metadata_bytes = metadata_bytes
        self.missing_bits = missing_bits
        self.metadata: EventMetadata = decode_event_metadata(metadata_bytes)
        # A reference to the array keeps `is_intact` valid after the ring has been released.
        self._generations = generations
        self._slot = slot
        self._generation = generation
        self.frames = frames

    @property
    def id(self) -> int:
        """Id of the event, as its frames have it; ids begin again in each run."""
        return self.metadata.id

    @property
    def epoch(self) -> int:
        """Number of runs that the builder had seen before this one."""
        return self.metadata.epoch

    @property
    def sequence(self) -> int:
        """Sequence number in the journal of the ring; consecutive events have consecutive numbers."""
        return self.metadata.sequence

    @property
    def timestamp(self) -> int:
        """Time of the event in ticks of 10 ns, by the clock of the boards."""
        return self.metadata.timestamp

    @property
    def timestamp_other(self) -> int:
        """Time by the clock that another acquisition shares, as one CoBo has it; 0 if that sent no frame."""
        return self.metadata.timestamp_other

    @property
    def is_complete(self) -> bool:
        """Whether all boards are there."""
        return self.metadata.status == EventStatus.COMPLETE

    @property
    def missing_boards(self) -> NDArray[np.uint8]:
        """The boards that are missing, rows (cobo, asad), ascending, uint8 (k, 2); k is 0 for a complete event."""
        return boards_of_bits(np.frombuffer(self.missing_bits, np.uint8))

    @property
    def has_frames(self) -> bool:
        """Whether the frames of all boards that are there are kept with the event; also if no board is there."""
        return self.metadata.n_frames > 0 or self.metadata.n_missing_boards >= self.metadata.n_boards

    @property
    def is_copy(self) -> bool:
        """Whether this is a copy, which is never overwritten."""
        return self._generations is None

    def is_intact(self) -> bool:
        """Return whether the event has not been overwritten so far; always True for a copy."""
        generations = self._generations
        return generations is None or bool(is_unchanged(generations, self._slot, self._generation))

    def copy(self) -> "Event | None":
        """Return a copy, or None if the event was overwritten before the copy was complete."""
        event = Event(self.traces.copy(), self.metadata_bytes, self.missing_bits, frames=self.frames.copy())
        return event if self.is_intact() else None

    def __repr__(self) -> str:
        status = EventStatus(self.metadata.status).name
        return f"<Event {self.id} of run {self.epoch}: {len(self.traces)} traces, {status}>"
