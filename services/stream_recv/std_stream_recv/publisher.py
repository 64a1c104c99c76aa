"""ImagePublisher: receives images into the ring, and publishes them in order, each once."""

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
    """Wakes up the readers of the ring when there is a new entry."""

    def ring(self, entry: NDArray[Any]) -> None:
        """Announce one journal entry, (1,)."""


class ItemState(Enum):
    """State of an entry that is not published yet."""

    COMING = auto()
    UNCHECKED = auto()
    WHOLE = auto()
    LOST = auto()


@dataclass(slots=True, eq=False)
class Item:
    """An entry of the sender's journal on its way into this server's journal.

    Parameters
    ----------
    source, session
        Index of the link over which the entry came, and number of the session.
    ring
        Ring of the sender.
    metadata
        ImageMetadata with the sender's sequence number, (1,).
    modules
        ModuleEntry of each module, (n_modules,); None for a lost image.
    state
        State of the entry.
    slot
        Slot for the pixels in this server's ring; None for a lost image.
    """

    source: int
    session: int
    ring: int
    metadata: NDArray[Any]
    modules: NDArray[Any] | None
    state: ItemState
    slot: int | None = None
    sequence: int = field(init=False)
    """Sequence number in the sender's ring."""

    def __post_init__(self) -> None:
        self.sequence = int(self.metadata["sequence"][0])


class ImagePublisher:
    """The writer of the ImageBuffer.

    The publisher takes entries in the order in which they are to be published. An entry gets its place in the ring
    when it is taken. It is published when all entries before it are published.

    Parameters
    ----------
    ring
        ImageBuffer, of which this is the only writer.
    bell
        Wakes up the readers.
    metrics
        Metrics of the receiver.
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
        """Point in the sender's journal up to which all entries are published."""
        return self._resume.point

    @property
    def taken(self) -> Point:
        """Point in the sender's journal up to which all entries are published or on their way."""
        if not self._items:
            return self._resume.point
        return Point(self._items[-1].ring, self._items[-1].sequence + 1)

    def begin_at(self, point: Point) -> None:
        """Record the point at which the first session begins."""
        self._resume.set(point)

    def add_lost(self, item: Item) -> None:
        """Take a lost image; it is published with the status of an overwritten image."""
        self._items.append(item)

    def add_image(self, item: Item) -> memoryview:
        """Take an image, and return the memory for its pixels."""
        ring = self._ring
        item.slot = ring.slot(ring.journal.next_sequence + len(self._items))
        ring.begin(item.slot)
        self._items.append(item)
        pixels: memoryview = ring.data[item.slot].data
        return pixels

    def publish(self) -> Iterator[Item]:
        """Publish the entries that can be published, and yield them."""
        while self._items and self._items[0].state in {ItemState.WHOLE, ItemState.LOST}:
            item = self._items.popleft()
            self._publish(item)
            yield item

    def give_up(self, source: int) -> set[int]:
        """Discard the entries of a link that are not known to be whole, and all entries after the first of them.

        Entries of other links may be among these. Those links must send their entries again, in new sessions. So their
        undecided entries are discarded as well.

        Returns
        -------
        Indices of all links that must begin a new session: this link, and the links of all discarded entries.
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
        """Copy the notes of the sender's ring into this server's ring; raises ValueError if they are too long."""
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
        if item.state is ItemState.WHOLE and item.slot is not None and item.modules is not None:
            metadata["sequence"] = ring.journal.next_sequence
            ring.write_header(item.slot, metadata.tobytes(), item.modules.tobytes())
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
        """Make sure that readers find no image in the slot of a lost image.

        The slot must hold no image, or an image with another sequence number.
        """
        ring = self._ring
        sequence = ring.journal.next_sequence
        slot = ring.slot(sequence) if item.slot is None else item.slot
        if item.slot is None:
            if ring.generation(slot) and not ring.holds(sequence):
                return
            # One of two cases. The slot was never used, and its zeros would look like the very first image. Or a
            # predecessor was killed after it had put an image there, and before it published that image.
            ring.begin(slot)
        ring.end(slot)


_UNDECIDED = {ItemState.COMING, ItemState.UNCHECKED}
