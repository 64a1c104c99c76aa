"""EventBuffer: the ring of built events with their metadata, which analysis, view and writers read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.shm.ring import RingGeometry, attach_ring, create_ring
from std_daq.shm.segment import Segment
from std_daq.shm.shared_area_ring import SharedAreaRing
from std_daq.tpc.events.board_bits import BITS_BYTES
from std_daq.tpc.events.event import Event
from std_daq.tpc.events.metadata import (
    EVENT_METADATA,
    INT16_CODE,
    N_COLUMNS,
    PROTOCOL_VERSION,
    EventMetadata,
    EventStatus,
    encode_event_metadata,
)

SIZE_KEY = "builder.ram_buffer_gb"
ROW_BYTES = N_COLUMNS * 2
MIN_EVENTS = 4
MIN_ENTRIES = 65536
ENTRIES_PER_SLOT = 4
BYTES_PER_SLOT = 32768
"""There is a slot for each 32 KiB, so that small events, of 32 traces on average, fill the ring as well."""
NO_EVENT = 2**64 - 1
"""Sequence in the header of a slot without an event: its event is being written, or is overwritten."""

EVENT_SLOT = np.dtype(
    {
        "names": ["generation", "start", "n_bytes", "metadata", "missing_boards"],
        "formats": ["<u8", "<u8", "<u8", EVENT_METADATA, ("u1", (BITS_BYTES,))],
        # The generation is not on the cache line of the metadata.
        "offsets": [0, 8, 16, 64, 64 + EVENT_METADATA.itemsize],
        "itemsize": 64 + EVENT_METADATA.itemsize + BITS_BYTES,
    }
)


class EventBuffer(SharedAreaRing[Event]):
    """A ring of events of different sizes."""

    def __init__(self, segment: Segment, geometry: RingGeometry) -> None:
        super().__init__(segment, geometry, EVENT_SLOT, EVENT_METADATA)
        self._sequences: NDArray[np.uint64] = self.headers["metadata"]["sequence"]
        self._empty_header["metadata"]["sequence"] = NO_EVENT
        self._reserved = 0
        self._frames = (0, 0)

    @classmethod
    def create(cls, path: Path, *, buffer_bytes: int, max_traces: int, frame_bytes: int = 0) -> tuple[Self, bool]:
        """Create the ring, or take it over after a restart; returns the ring and whether it is new.

        The parameters and the ConfigError are those of `plan`.

        Raises
        ------
        SharedMemoryError
            The memory cannot be allocated.
        """
        geometry = cls.plan(buffer_bytes=buffer_bytes, max_traces=max_traces, frame_bytes=frame_bytes)
        return cls.create_planned(path, geometry)

    @classmethod
    def create_planned(cls, path: Path, geometry: RingGeometry) -> tuple[Self, bool]:
        """Do the same with a geometry of `plan`."""
        return create_ring(path, geometry, cls, size_key=SIZE_KEY)

    @staticmethod
    def plan(*, buffer_bytes: int, max_traces: int, frame_bytes: int = 0) -> RingGeometry:
        """Return the geometry of the ring.

        Parameters
        ----------
        buffer_bytes
            Memory for the traces.
        max_traces
            Number of traces of the largest event.
        frame_bytes
            Size of the frames of an event for which there has to be room as well.

        Raises
        ------
        ConfigError
            The memory is too small for four of the largest events.
        """
        least = MIN_EVENTS * (max_traces * ROW_BYTES + frame_bytes + 64)
        if buffer_bytes < least:
            with_frames = " and their frames" if frame_bytes else ""
            raise ConfigError(
                f"this is too small for {MIN_EVENTS} events of {max_traces} traces{with_frames}",
                key=SIZE_KEY,
                value=buffer_bytes / 1e9,
                remedy=f"set it to {least / 1e9:.3f} or more",
            )
        n_slots = max(MIN_EVENTS, buffer_bytes // BYTES_PER_SLOT)
        return RingGeometry(
            kind="events",
            n_slots=n_slots,
            n_parts=1,
            data_bytes=0,
            header_bytes=EVENT_SLOT.itemsize,
            n_journals=1,
            n_entries=max(MIN_ENTRIES, n_slots * ENTRIES_PER_SLOT),
            entry_bytes=EVENT_METADATA.itemsize,
            attributes={"n_columns": N_COLUMNS},
            shared_bytes=buffer_bytes,
        )

    @classmethod
    def attach(cls, path: Path) -> Self:
        """Attach as a reader; raises SharedMemoryError."""
        return attach_ring(path, "events", cls)

    @property
    def max_traces(self) -> int:
        """Number of traces of the largest event that there is room for."""
        return self.largest_bytes // ROW_BYTES

    def begin(self, index: int) -> int:
        """Begin to write a slot; the slot has no event until its metadata are written, even if the builder dies."""
        generation = super().begin(index)
        self._sequences[index] = NO_EVENT
        return generation

    def fits(self, n_traces: int, frame_bytes: int) -> bool:
        """Return whether there is room for an event with its frames."""
        return n_traces * ROW_BYTES + frame_bytes <= self.largest_bytes

    def begin_event(self, n_traces: int, frames: Sequence[NDArray[np.uint8]] = ()) -> NDArray[np.int16]:
        """Make room for the next event, and return its traces, int16 (n_traces, 517), which are not cleared.

        Parameters
        ----------
        frames
            The bytes of the frames that are kept with it.
        """
        end = begin = n_traces * ROW_BYTES
        frame_bytes = sum(map(len, frames))
        self._reserved, memory = self.reserve(begin + frame_bytes)
        self._frames = (frame_bytes, len(frames))
        for frame in frames:
            memory[end : end + len(frame)] = frame
            end += len(frame)
        return memory[:begin].view(np.int16).reshape(n_traces, N_COLUMNS)

    def publish(
        self,
        *,
        event_id: int,
        epoch: int,
        n_traces: int,
        timestamp: int,
        timestamp_other: int,
        n_boards: int,
        missing_bits: NDArray[np.uint8],
        first_arrival_ns: int,
        built_ns: int,
    ) -> NDArray[Any]:
        """Publish the event whose traces were written after `begin_event`; returns its entry, a struct of shape (1,).

        Parameters
        ----------
        missing_bits
            The missing boards as bits, of `n_boards` that make the event complete.
        """
        n_missing = int(np.unpackbits(missing_bits).sum())
        metadata = EventMetadata(
            version=PROTOCOL_VERSION,
            id=event_id,
            n_traces=n_traces,
            n_columns=N_COLUMNS,
            dtype=INT16_CODE,
            encoding=0,
            source_id=0,
            status=EventStatus.MISSING_BOARDS if n_missing else EventStatus.COMPLETE,
            timestamp=timestamp,
            timestamp_other=timestamp_other,
            sequence=self.journal.next_sequence,
            first_arrival_ns=first_arrival_ns,
            built_ns=built_ns,
            epoch=epoch,
            n_boards=n_boards,
            n_missing_boards=n_missing,
            frame_bytes=self._frames[0],
            n_frames=self._frames[1],
        )
        entry = np.frombuffer(bytearray(encode_event_metadata(metadata)), EVENT_METADATA)
        slot = self._reserved
        self.headers["missing_boards"][slot] = missing_bits
        self.headers["metadata"][slot] = entry[0]
        self.end(slot)
        self.journal.append(entry)
        return entry

    def view(self, sequence: int) -> Event | None:
        """Return an event in place, or None if it is not in its slot; call its `is_intact` after use.

        An event whose header tells of traces or frames other than its bytes is damaged, and counts as not there.
        """
        slot = self.slot(sequence)
        generation = self.generation(slot)
        if generation == 0 or generation % 2:
            return None
        if int(self._sequences[slot]) != sequence:
            return None
        header = self.headers[slot]
        metadata, missing = header["metadata"].tobytes(), header["missing_boards"].tobytes()
        content = self.content(slot)
        begin = int(header["metadata"]["n_traces"]) * ROW_BYTES
        is_whole = begin + int(header["metadata"]["frame_bytes"]) == len(content)
        if not (is_whole and self.is_unchanged(slot, generation)):
            return None
        traces = content[:begin].view(np.int16).reshape(-1, N_COLUMNS)
        return Event(traces, metadata, missing, self.generations, slot, generation, frames=content[begin:])

    def holds(self, sequence: int) -> bool:
        """Return whether an event is in its slot now; it may be overwritten at any time, so check again after use."""
        slot = self.slot(sequence)
        generation = self.generation(slot)
        is_same = int(self._sequences[slot]) == sequence and generation > 0
        return is_same and self.is_unchanged(slot, generation)

    def close(self) -> None:
        """Release the ring; arrays taken from it must not be used afterwards."""
        del self._sequences
        super().close()
