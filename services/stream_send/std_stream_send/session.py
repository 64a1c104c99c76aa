"""Session: sends the images of one receiver's share from the ring to that receiver."""

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
from std_daq.shm.journal import Journal, JournalPart
from std_daq.streams.follower import RingFollower
from std_daq.telemetry.logs import ConditionLog
from std_stream_send.channel import Channel, Tracker

MAX_READ_ENTRIES = 256
MAX_ENTRIES_A_STEP = 1024
MAX_BYTES_A_STEP = 64 * 2**20
"""Most images in one step, and about the most bytes, whatever the credit, because other receivers wait meanwhile."""
# Enough bytes to keep the network busy until the next step. Not more, because images that wait for the network may be
# overwritten in the ring.
MAX_UNSENT_BYTES = 16 * 2**20
MIN_UNSENT_IMAGES = 2


@dataclass(slots=True)
class SessionCounters:
    """Counters of a session since they were read last.

    Parameters
    ----------
    n_images, n_bytes
        Images sent, and bytes of their pixels.
    n_lost
        Images reported as lost, because they were overwritten before or while they were sent.
    n_torn
        Lost images that were overwritten while they were sent.
    n_unnamed
        Journal entries that were overwritten before they were read.
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
    """Exchange with one receiver: reads the journal from the receiver's point, and sends as much as it has credit for.

    The session only reads the ring. So an image can be overwritten at any time until the network has taken it. The
    session checks that afterwards, and tells the receiver whether the image was whole.

    Parameters
    ----------
    hello
        First message of the receiver, with its point, share and credit.
    channel
        Connection to the receiver.
    attach
        Attaches to the ImageBuffer; raises SharedMemoryError while there is none.
    keep_alive_s
        Longest time between two messages to the receiver, in seconds.
    clock
        Returns the monotonic time in seconds.

    Attributes
    ----------
    hello
        First message of the receiver.
    heard_at
        Time of the receiver's last message.
    acknowledged
        Point up to which the receiver has acknowledged entries.
    has_more
        Whether the last step stopped only to be fair to other receivers: the network would take more.
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
        self._conditions = ConditionLog(clock=clock)
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
        """Name of the receiver, with its share if it does not want all images."""
        share = self.hello.share
        return self.hello.receiver_name + ("" if share.of == 1 else f":{share.index}/{share.of}")

    @property
    def is_gone(self) -> bool:
        """Whether the connection to the receiver has ended."""
        return self._channel.is_gone

    @property
    def is_sending(self) -> bool:
        """Whether something waits for the network, so that the next step is due soon."""
        return bool(self._outbox or self._unchecked)

    @property
    def credit(self) -> int:
        """Number of entries that may be sent now."""
        return self.hello.credit - (self._n_told - self._n_finished)

    @property
    def lag(self) -> int:
        """Number of published entries that are not sent yet."""
        return self._follower.lag + len(self._entries)

    @property
    def n_slots(self) -> int:
        """Size of the ring; 0 while there is none."""
        return 0 if self._follower.ring is None else self._follower.ring.n_slots

    def pop_counters(self) -> SessionCounters:
        """Return the counters since the last call."""
        counters, self._counters = self._counters, SessionCounters()
        return counters

    def acknowledge(self, ack: Ack) -> None:
        """Handle an acknowledgement, which gives credit for more entries."""
        self.heard_at = self._clock()
        self._n_finished = min(max(self._n_finished, ack.n_finished), self._n_told)
        self.acknowledged = ack.point

    def step(self) -> None:
        """Send as much as possible without waiting."""
        self._confirm_departed()
        self.has_more = self._fill_channel()
        self._tell_position()
        self._flush()
        self._channel.transmit()
        if self._confirm_departed():
            self._flush()
            self._channel.transmit()

    def close(self) -> None:
        """Detach from the ring."""
        self._outbox.clear()
        self._unchecked.clear()
        self._ring = None
        self._follower.close()

    def _attach_next(self) -> ImageBuffer:
        """Attach to a new ring, but not before all images that were sent from the old one are checked."""
        if self._unchecked:
            raise SharedMemoryError("images of the previous ring are still being sent")
        return self._attach()

    def _confirm_departed(self) -> bool:
        """Check the images that the network has taken, and tell the receiver the result; return whether there are any.

        An image was whole if it is still intact after the network has read its last byte.
        """
        if not (self._unchecked and self._unchecked[0].has_left):
            return False
        torn = set()
        next_sequence = 0
        while self._unchecked and self._unchecked[0].has_left:
            sent = self._unchecked.popleft()
            next_sequence = sent.image.sequence + 1
            if not sent.image.is_intact():
                torn.add(sent.image.sequence)
                # The next images in the ring are about to be overwritten too. They would all be torn, and no image
                # would ever get through. So the session skips them.
                self._floor = sent.ring.journal.next_sequence - sent.ring.n_slots * 3 // 4
        self._counters.n_torn += len(torn)
        self._counters.n_lost += len(torn)
        self._queue(Checked(next_sequence, frozenset(torn)).encode())
        return True

    def _flush(self) -> bool:
        """Pass waiting messages to the channel, and return whether it had room for all of them."""
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
        """Send as much as possible, up to the limits of a step; return whether more could be sent."""
        enough = self._counters.n_bytes + MAX_BYTES_A_STEP
        for _ in range(MAX_ENTRIES_A_STEP):
            if not (self._flush() and self._prepare_next()):
                return False
            self._confirm_departed()
            if self._counters.n_bytes >= enough:
                return True
        return True

    def _prepare_next(self) -> bool:
        """Queue the next image or loss, or read the journal; return whether there was anything to do."""
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
        """Read the next entries of the journal; return whether there were any, or messages wait to be sent."""
        follower = self._follower
        part = follower.read(MAX_READ_ENTRIES)
        n_read = 0 if part is None else part.n_lost + len(part.entries)
        if follower.ring is not None and follower.ring is not self._ring:
            self._welcome(follower.ring, follower.cursor - n_read)
        if part is None:
            return bool(self._outbox)
        self._counters.n_unnamed += part.n_lost
        self._n_unnamed += part.n_lost
        step = 1 if self._ring is None else self._ring.frame_index_step
        self._number(part, follower.cursor)
        self._entries = self.hello.share.select(part.entries, step)
        if not len(self._entries):
            self._passed = follower.cursor
        return True

    def _number(self, part: JournalPart, end: int) -> None:
        """Give entries the sequence of their places: a receiver ends the session at another one, and asks again."""
        places = np.arange(end - len(part.entries), end, dtype=np.uint64)
        if (part.entries["sequence"] != places).any():
            self._conditions.warning("journal_damaged", first=int(places[0]), last=int(places[-1]))
            part.entries["sequence"] = places

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
        """Report the next image as lost, with all lost images directly after it; return their number."""
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
        """Send the next image; return False if it is overwritten, or damaged."""
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
        metadata, modules = image.metadata_bytes, image.modules_bytes
        if is_small:
            self._queue(join_image(metadata, modules, pixels=copy))
        else:
            sent = _Sent(ring, image)
            starts = range(0, len(pixels), CHUNK_BYTES)
            self._queue(join_image(metadata, modules, n_chunks=len(starts)))
            for start in starts:
                is_last = start == starts[-1]
                self._outbox.append((pixels[start : start + CHUNK_BYTES], sent if is_last else None))
            self._unchecked.append(sent)
        self._counters.n_images += 1
        self._counters.n_bytes += len(pixels)
        return True

    def _follow_calibration(self, ring: ImageBuffer, calibration: int) -> None:
        """Send the notes of the ring again before the first image of another calibration."""
        if calibration == self._calibration:
            return
        notes = ring.read_notes()
        if not notes:
            return  # there are none, or they are being written: the next image tries again
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
    """Start of a receiver in a ring."""

    hello: Hello

    def __call__(self, ring: ImageBuffer, journal: Journal) -> int:
        point = self.hello.point
        if point.ring == ring.segment.created_ns and point.sequence <= journal.next_sequence:
            return point.sequence
        if point.ring:
            return journal.oldest_sequence  # the receiver's point is in another ring, so all of this ring is new
        if self.hello.start is Start.NOW:
            return journal.next_sequence
        return max(journal.oldest_sequence, journal.next_sequence - ring.n_slots)
