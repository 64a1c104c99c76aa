"""ImagePublisher: images on their way into the ring, and their publication in order, each once."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.imaging.protocols.replication import Point
from std_stream_recv.metrics import ReceiverMetrics
from std_stream_recv.resume_point import ResumePoint


class Bell(Protocol):
    """Tells the readers of the ring that there is a new entry."""

    def ring(self, entry: NDArray[Any]) -> None:
        """Tell of one journal entry, (1,)."""


class ItemState(Enum):
    """What is known of an entry that has not been published."""

    COMING = auto()
    UNCHECKED = auto()
    WHOLE = auto()
    LOST = auto()


@dataclass(slots=True, eq=False)
class Item:
    """An entry of the sender's journal on its way into ours.

    Parameters
    ----------
    source, session
        Index of the link that it came over, and number of the session.
    ring
        The sender's ring.
    metadata
        ImageMetadata with the sender's sequence number, (1,).
    missing_packets
        Of each module, (n_modules,); None for a lost image.
    state
        What is known of it.
    slot
        Where its pixels go; None for a lost image.
    """

    source: int
    session: int
    ring: int
    metadata: NDArray[Any]
    missing_packets: NDArray[np.uint32] | None
    state: ItemState
    slot: int | None = None
    sequence: int = field(init=False)
    """Its sequence number in the sender's ring."""

    def __post_init__(self) -> None:
        self.sequence = int(self.metadata["sequence"][0])


class ImagePublisher:
    """The writer of the ImageBuffer.

    Entries are taken in the order in which they are published. What is taken has its place in the ring from then on;
    it is published when all that is before it is.

    Parameters
    ----------
    ring
        The ring; this is its only writer.
    bell
        Tells the readers.
    metrics
        What is counted.
    """

    def __init__(self, ring: ImageBuffer, bell: Bell, metrics: ReceiverMetrics) -> None:
        self._ring = ring
        self._bell = bell
        self._metrics = metrics
        self._items: deque[Item] = deque()
        self._resume = ResumePoint(ring.journal)
        self._notes = ring.read_notes()

    @property
    def published(self) -> Point:
        """The point in the sender's journal up to which everything is published."""
        return self._resume.point

    @property
    def taken(self) -> Point:
        """The point up to which everything is published or on its way."""
        if not self._items:
            return self._resume.point
        return Point(self._items[-1].ring, self._items[-1].sequence + 1)

    def begin_at(self, point: Point) -> None:
        """Note where it all begins."""
        self._resume.set(point)

    def add_lost(self, item: Item) -> None:
        """Take an image that is lost: it is published as one that was overwritten."""
        self._items.append(item)

    def add_image(self, item: Item) -> memoryview:
        """Take an image; returns the memory for its pixels."""
        ring = self._ring
        item.slot = ring.slot(ring.journal.next_sequence + len(self._items))
        ring.begin(item.slot)
        self._items.append(item)
        pixels: memoryview = ring.data[item.slot].data
        return pixels

    def publish(self) -> Iterator[Item]:
        """Publish what can be published; yields it."""
        while self._items and self._items[0].state in {ItemState.WHOLE, ItemState.LOST}:
            item = self._items.popleft()
            self._publish(item)
            yield item

    def give_up(self, source: int) -> set[int]:
        """Forget what comes over a link and is not known to be whole, and all that was to come after it.

        Returns
        -------
        That link, and those of all that is forgotten: they have to send it again, in new sessions, so that what else
        is not known of theirs is forgotten as well.
        """
        sources = {source}
        while (first := self._first_undecided(sources)) is not None:
            while len(self._items) > first:
                item = self._items.pop()
                sources.add(item.source)
                if item.slot is not None:
                    self._ring.end(item.slot)
        return sources

    def write_notes(self, notes: dict[str, Any]) -> None:
        """Leave the notes of the sender's ring in this one; raises ValueError where they are too long for that."""
        if notes == self._notes:
            return
        try:
            self._ring.write_notes(notes)
        except SharedMemoryError as error:
            raise ValueError(str(error)) from None
        self._notes = notes

    def _first_undecided(self, sources: set[int]) -> int | None:
        places = (i for i, item in enumerate(self._items) if item.source in sources and item.state in _UNDECIDED)
        return next(places, None)

    def _publish(self, item: Item) -> None:
        ring = self._ring
        metadata = item.metadata
        self._resume.intend(item.ring, item.sequence)
        if item.state is ItemState.WHOLE and item.slot is not None and item.missing_packets is not None:
            metadata["sequence"] = ring.journal.next_sequence
            ring.write_header(item.slot, metadata.tobytes(), item.missing_packets.tobytes())
            ring.end(item.slot)
        else:
            metadata["status"] |= np.uint16(ImageStatus.OVERWRITTEN)
            self._leave_empty(item)
        ring.journal.append(metadata)
        self._resume.note(item.ring, item.sequence)
        self._bell.ring(metadata)
        if item.state is ItemState.WHOLE:
            self._metrics.count_image(ImageStatus(int(metadata["status"][0])), time.time())
            self._metrics.count_bytes(ring.geometry.data_bytes)
        else:
            self._metrics.count_lost(is_torn=item.slot is not None)

    def _leave_empty(self, item: Item) -> None:
        """See to it that readers find no image: in its slot is none, or one of another sequence number."""
        ring = self._ring
        sequence = ring.journal.next_sequence
        slot = ring.slot(sequence) if item.slot is None else item.slot
        if item.slot is None:
            if ring.generation(slot) and not ring.holds(sequence):
                return
            # Never used: its zeros would look like the very first image. Or a predecessor was killed when it had put an
            # image there and had not published it.
            ring.begin(slot)
        ring.end(slot)


_UNDECIDED = {ItemState.COMING, ItemState.UNCHECKED}
