"""Session: the images of one receiver's share, from the ring to the receiver."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, dtype_code
from std_daq.imaging.protocols.replication import (
    CHUNK_BYTES,
    MAX_INLINE_BYTES,
    MAX_LOST,
    Ack,
    Checked,
    Hello,
    ImageForm,
    Point,
    Position,
    Start,
    Welcome,
    encode_lost,
    encode_notes,
    join_image,
)
from std_daq.shm.journal import Journal
from std_daq.streams.follower import RingFollower
from std_stream_send.channel import Channel, Tracker

MAX_READ_ENTRIES = 256
MAX_ENTRIES_A_STEP = 1024
MAX_BYTES_A_STEP = 64 * 2**20
"""Images in one go, and about so many bytes of them, whatever the credit: other receivers wait meanwhile."""
# Enough to keep the network busy until the next look, and little, because it may be overwritten while it waits.
MAX_UNSENT_BYTES = 16 * 2**20
MIN_UNSENT_IMAGES = 2


@dataclass(slots=True)
class SessionCounters:
    """What a session has done since it was asked last.

    Parameters
    ----------
    n_images, n_bytes
        Images sent, and bytes of their pixels.
    n_lost
        Images told as lost, because they had left the ring or did so while they were sent.
    n_torn
        Those of them that were overwritten while they were sent.
    n_unnamed
        Journal entries that were gone before they were read.
    """

    n_images: int = 0
    n_bytes: int = 0
    n_lost: int = 0
    n_torn: int = 0
    n_unnamed: int = 0


@dataclass(slots=True)
class _Sent:
    """An image that is being sent in place."""

    ring: ImageBuffer
    image: Image
    tracker: Tracker | None = None

    @property
    def has_left(self) -> bool:
        return self.tracker is not None and self.tracker.done


class Session:
    """One receiver: reads the journal from where the receiver asked for, and sends what it has credit for.

    The ring is only read. An image may be overwritten at any time before the network has taken it; that is looked for
    afterwards, and told.

    Parameters
    ----------
    hello
        What the receiver wants.
    channel
        The way to it.
    attach
        Attaches to the ImageBuffer; raises SharedMemoryError while it is not there.
    keep_alive_s
        Something is sent at least as often.
    clock
        Monotonic seconds.

    Attributes
    ----------
    hello
        As given.
    heard_at
        When the receiver was last heard of.
    acknowledged
        The point from which it would go on.
    has_more
        Whether the last step has ended for the others' sake: the network would take more.
    """

    def __init__(
        self,
        hello: Hello,
        channel: Channel,
        attach: Callable[[], ImageBuffer],
        keep_alive_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hello = hello
        self.heard_at = clock()
        self.acknowledged = hello.point
        self._counters = SessionCounters()
        self._n_unnamed = 0
        self._channel = channel
        self._clock = clock
        self._keep_alive_s = keep_alive_s
        self._attach = attach
        self._follower = RingFollower(self._attach_next, start=_Start(hello), clock=clock)
        self._ring: ImageBuffer | None = None
        self._entries: NDArray[Any] = np.zeros(0, IMAGE_METADATA)
        self._outbox: deque[tuple[bytes | memoryview, _Sent | None]] = deque()
        self._unchecked: deque[_Sent] = deque()
        self._n_told = 0
        self._n_finished = 0
        self._passed = 0
        self._told_position: int | None = None
        self._told_at = self.heard_at
        self._floor = 0
        self._calibration: int | None = None
        self._notes: dict[str, Any] = {}
        self.has_more = False

    @property
    def label(self) -> str:
        """Name of the receiver, and its share where it does not want all images."""
        share = self.hello.share
        return self.hello.receiver_name + ("" if share.of == 1 else f":{share.index}/{share.of}")

    @property
    def is_gone(self) -> bool:
        """Whether the receiver cannot be reached any more."""
        return self._channel.is_gone

    @property
    def is_sending(self) -> bool:
        """Whether something waits for the network: to be looked at again soon."""
        return bool(self._outbox or self._unchecked)

    @property
    def credit(self) -> int:
        """Entries that may be sent now."""
        return self.hello.credit - (self._n_told - self._n_finished)

    @property
    def lag(self) -> int:
        """Entries of the ring that wait to be sent."""
        return self._follower.lag + len(self._entries)

    def pop_counters(self) -> SessionCounters:
        """Return what was done since the last call."""
        counters, self._counters = self._counters, SessionCounters()
        return counters

    def acknowledge(self, ack: Ack) -> None:
        """Take an acknowledgement: there is credit for more."""
        self.heard_at = self._clock()
        self._n_finished = min(max(self._n_finished, ack.n_finished), self._n_told)
        self.acknowledged = ack.point

    def step(self) -> None:
        """Send what can be sent now; never waits."""
        self._confirm_departed()
        self.has_more = self._fill_channel()
        self._tell_position()
        self._flush()
        self._channel.transmit()
        if self._confirm_departed():
            self._flush()
            self._channel.transmit()

    def close(self) -> None:
        """Let go of the ring."""
        self._outbox.clear()
        self._unchecked.clear()
        self._ring = None
        self._follower.close()

    def _attach_next(self) -> ImageBuffer:
        """Attach to the ring; the one before it is let go of then, so what was sent from it is to be checked first."""
        if self._unchecked:
            raise SharedMemoryError("images of the ring before are still being sent")
        return self._attach()

    def _confirm_departed(self) -> bool:
        """Find out whether the images that have left were whole up to then, and tell; returns whether any have."""
        if not (self._unchecked and self._unchecked[0].has_left):
            return False
        torn = set()
        next_sequence = 0
        while self._unchecked and self._unchecked[0].has_left:
            sent = self._unchecked.popleft()
            next_sequence = sent.image.sequence + 1
            if not sent.image.is_intact():
                torn.add(sent.image.sequence)
                # Whatever else is about to be overwritten would be torn as well, and nothing would ever get through.
                self._floor = sent.ring.journal.next_sequence - sent.ring.n_slots * 3 // 4
        self._counters.n_torn += len(torn)
        self._counters.n_lost += len(torn)
        self._queue(Checked(next_sequence, frozenset(torn)).encode())
        return True

    def _flush(self) -> bool:
        """Hand over what waits; returns whether there was room for all of it."""
        while self._outbox:
            message, sent = self._outbox[0]
            if isinstance(message, bytes):
                if not self._channel.send(message):
                    return False
            else:
                tracker = self._channel.send_in_place(message)
                if tracker is None:
                    return False
                if sent is not None:
                    sent.tracker = tracker
            self._outbox.popleft()
            self._told_at = self._clock()
        return True

    def _fill_channel(self) -> bool:
        """Send until nothing more can be sent, but no more than is fair to the others; returns whether more can be."""
        enough = self._counters.n_bytes + MAX_BYTES_A_STEP
        for _ in range(MAX_ENTRIES_A_STEP):
            if not (self._flush() and self._prepare_next()):
                return False
            self._confirm_departed()
            if self._counters.n_bytes >= enough:
                return True
        return True

    def _prepare_next(self) -> bool:
        """Prepare what comes next; returns whether there is anything."""
        if not len(self._entries):
            return self._read_journal()
        ring = self._ring
        if ring is None or self.credit <= 0 or self._has_enough_unsent(ring):
            return False
        n_taken = 1 if self._tell_image(ring) else self._tell_lost(ring)
        self._passed = int(self._entries["sequence"][n_taken - 1]) + 1
        self._entries = self._entries[n_taken:]
        self._n_told += n_taken
        if not len(self._entries):
            self._passed = self._follower.cursor
        return True

    def _read_journal(self) -> bool:
        """Read the journal on; returns whether there is anything to tell or to read."""
        follower = self._follower
        part = follower.read(MAX_READ_ENTRIES)
        n_read = 0 if part is None else part.n_lost + len(part.entries)
        if follower.ring is not None and follower.ring is not self._ring:
            self._welcome(follower.ring, follower.cursor - n_read)
        if part is None:
            return bool(self._outbox)
        self._counters.n_unnamed += part.n_lost
        self._n_unnamed += part.n_lost
        self._entries = self.hello.share.select(part.entries)
        if not len(self._entries):
            self._passed = follower.cursor
        return True

    def _welcome(self, ring: ImageBuffer, sequence: int) -> None:
        self._ring = ring
        self._floor = 0
        self._passed = sequence
        self._told_position = None
        height, width = ring.shape
        form = ImageForm(height, width, dtype_code(ring.dtype), ring.n_modules)
        self._queue(Welcome(form, ring.n_slots, Point(ring.segment.created_ns, sequence)).encode())
        self._calibration = None
        self._tell_notes(ring.read_notes())

    def _tell_notes(self, notes: dict[str, Any]) -> None:
        self._notes = notes
        self._queue(encode_notes(notes))

    def _has_enough_unsent(self, ring: ImageBuffer) -> bool:
        n = len(self._unchecked)
        return n >= MIN_UNSENT_IMAGES and n * ring.geometry.data_bytes >= MAX_UNSENT_BYTES

    def _tell_lost(self, ring: ImageBuffer) -> int:
        """Tell that the next image is not there any more, and those after it up to one that is; returns how many."""
        n = 1
        limit = min(len(self._entries), self.credit, MAX_LOST)
        while n < limit:
            sequence = int(self._entries["sequence"][n])
            if sequence >= self._floor and ring.holds(sequence):
                break
            n += 1
        self._queue(encode_lost(self._entries[:n]))
        self._counters.n_lost += n
        return n

    def _tell_image(self, ring: ImageBuffer) -> bool:
        """Send the next image; returns False where it is not there any more."""
        sequence = int(self._entries["sequence"][0])
        if sequence < self._floor:
            return False
        image = ring.view(sequence)
        if image is None:
            return False
        pixels = ring.data[ring.slot(sequence)].data
        is_small = len(pixels) <= MAX_INLINE_BYTES
        copy = bytes(pixels) if is_small else b""
        if is_small and not image.is_intact():
            return False
        self._follow_calibration(ring, image.calibration)
        metadata, missing_packets = image.metadata_bytes, image.missing_packets_bytes
        if is_small:
            self._queue(join_image(metadata, missing_packets, pixels=copy))
        else:
            sent = _Sent(ring, image)
            starts = range(0, len(pixels), CHUNK_BYTES)
            self._queue(join_image(metadata, missing_packets, n_chunks=len(starts)))
            for start in starts:
                is_last = start == starts[-1]
                self._outbox.append((pixels[start : start + CHUNK_BYTES], sent if is_last else None))
            self._unchecked.append(sent)
        self._counters.n_images += 1
        self._counters.n_bytes += len(pixels)
        return True

    def _follow_calibration(self, ring: ImageBuffer, calibration: int) -> None:
        """Tell the ring's notes anew before the first image of another calibration."""
        if calibration == self._calibration:
            return
        notes = ring.read_notes()
        if not notes:
            return  # there are none, or they are just being written: to be looked for again
        self._calibration = calibration
        if notes != self._notes:
            self._tell_notes(notes)

    def _tell_position(self) -> None:
        is_new = self._ring is not None and not len(self._entries) and self._passed != self._told_position
        if (not is_new and self._clock() - self._told_at < self._keep_alive_s) or self._outbox:
            return
        self._told_position = self._passed
        self._queue(Position(self._passed, self.lag, self._n_unnamed).encode())

    def _queue(self, message: bytes) -> None:
        self._outbox.append((message, None))


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a receiver begins in a ring."""

    hello: Hello

    def __call__(self, ring: ImageBuffer, journal: Journal) -> int:
        point = self.hello.point
        if point.ring == ring.segment.created_ns and point.sequence <= journal.next_sequence:
            return point.sequence
        if point.ring:
            return journal.oldest_sequence  # another ring than the one it had: all of it is new
        if self.hello.start is Start.NOW:
            return journal.next_sequence
        return max(journal.oldest_sequence, journal.next_sequence - ring.n_slots)
