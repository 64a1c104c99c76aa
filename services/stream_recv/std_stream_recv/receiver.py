"""StreamReceiver: the service that copies the images of another server's ring into this server's ring."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zmq

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.replication import ImageHead
from std_daq.telemetry.logs import ConditionLog
from std_stream_recv.link import Link
from std_stream_recv.metrics import ReceiverMetrics
from std_stream_recv.order import first_in_order
from std_stream_recv.publisher import ImagePublisher, Item, ItemState

WAIT_MS = 100
ACKNOWLEDGE_MS = 5
ACKNOWLEDGED_PARTS_OF_CREDIT = 8
SHOW_S = 0.2
MAX_ENTRIES_A_STEP = 64


@dataclass(slots=True)
class _Coming:
    """An image whose pixels are being received."""

    item: Item
    head: ImageHead
    pixels: memoryview
    offset: int = 0


class StreamReceiver:
    """The service: receives one image after another, in the order of the sender's ring, and each once.

    Parameters
    ----------
    ring
        ImageBuffer of this server.
    publisher
        Writes and publishes images in the ring.
    links
        Links over which the images come.
    metrics
        Metrics of the receiver.
    timeout_s
        Longest time for which the links may read different rings of the sender, in seconds.
    close_bell
        Closes the doorbell; called when the service ends.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(
        self,
        *,
        ring: ImageBuffer,
        publisher: ImagePublisher,
        links: Sequence[Link],
        metrics: ReceiverMetrics,
        timeout_s: float,
        close_bell: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ring = ring
        self._publisher = publisher
        self._links = links
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._close_bell = close_bell
        self._clock = clock
        self._conditions = ConditionLog(clock=clock)
        self._coming: _Coming | None = None
        self._has_more = False
        self._n_unacknowledged = 0
        self._acknowledge_at = self._next_show = 0.0
        self._rings_agreed_at = clock()
        self._begin_first()

    @property
    def is_ready(self) -> bool:
        """Whether a sender with fitting images has answered on each link."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """Senders that have not answered, each with the reason; None if all have."""
        waiting = [f"{link.address}: {link.trouble}" for link in self._links if not link.is_welcome]
        return "; ".join(waiting) or None

    def step(self) -> None:
        """Receive and publish the images that have come; wait at most 0.1 s for them.

        Raises
        ------
        SharedMemoryError
            The ImageBuffer was removed.
        """
        if not self._ring.is_live:
            raise SharedMemoryError(
                f"{self._ring.segment.path} was removed; the service creates a new one when it starts again"
            )
        self._wait()
        for link in self._links:
            link.advance()
        if self._publisher.published.ring == 0:
            self._note_beginning(self._links[0])
        self._has_more = self._receive_entries()
        now = self._clock()
        self._acknowledge(self._publish(), now)
        for link in self._links:
            link.check_timeouts()
            if link.failure:
                self._restart_session(link)
        self._check_rings_agree()
        if now >= self._next_show:
            self._next_show = now + SHOW_S
            self._metrics.show(self._links)

    def close(self) -> None:
        """Say goodbye, and release all resources; images on their way are sent again after the next start."""
        for source, link in enumerate(self._links):
            self._publisher.give_up(source)
            link.close()
        self._coming = None
        self._close_bell()
        self._ring.close()

    def _wait(self) -> None:
        """Wait for messages on the links whose next entry has not come; the others would wake up the wait at once."""
        waited_for = []
        for source, link in enumerate(self._links):
            is_coming = self._coming is not None and self._coming.item.source == source
            if link.connection is not None and (is_coming or not link.has_entry):
                waited_for.append((link.connection.socket, zmq.POLLIN))
        limit_ms = ACKNOWLEDGE_MS if self._n_unacknowledged else WAIT_MS
        zmq.zmq_poll(waited_for, 0 if self._has_more else limit_ms)

    def _receive_entries(self) -> bool:
        """Receive and publish entries, a bounded number; return whether there may be more."""
        for _ in range(MAX_ENTRIES_A_STEP):
            if not self._receive_next():
                return False
            self._acknowledge(self._publish(), self._clock())
        return True

    def _receive_next(self) -> bool:
        """Receive the next entry, or as much of it as has come; return whether there may be more."""
        if self._coming is None:
            source = self._next_source()
            if source is None:
                return False
            self._begin_entry(self._links[source])
        return self._coming is None or self._receive_pixels(self._coming)

    def _next_source(self) -> int | None:
        if len(self._links) == 1:
            return 0 if self._links[0].has_entry else None
        return first_in_order([link.progress for link in self._links])

    def _begin_entry(self, link: Link) -> None:
        item, head = link.pop_entry()
        if head is None:
            self._publisher.add_lost(item)
        else:
            pixels = self._publisher.add_image(item)
            if head.is_checked:
                pixels[:] = head.pixels
                item.state = ItemState.WHOLE
            else:
                self._coming = _Coming(item, head, pixels)
                return
        link.advance()

    def _receive_pixels(self, coming: _Coming) -> bool:
        """Receive the chunks of an image that have come; return whether the image is complete."""
        link = self._links[coming.item.source]
        while coming.offset < len(coming.pixels):
            chunk = coming.pixels[coming.offset : coming.offset + coming.head.chunk_bytes]
            if not link.receive_chunk(chunk):
                return False
            coming.offset += len(chunk)
        self._coming = None
        link.await_check(coming.item)
        link.advance()
        return True

    def _publish(self) -> int:
        n = 0
        for item in self._publisher.publish():
            self._links[item.source].finish(item)
            if item.state is ItemState.LOST:
                self._conditions.warning("image_lost", image_id=int(item.metadata["id"][0]))
            n += 1
        return n

    def _acknowledge(self, n_finished: int, now: float) -> None:
        """Acknowledge soon, and before the senders run out of credit, but not each image by itself."""
        if n_finished and not self._n_unacknowledged:
            self._acknowledge_at = now + ACKNOWLEDGE_MS / 1000
        self._n_unacknowledged += n_finished
        if not self._n_unacknowledged:
            return
        is_much = self._n_unacknowledged * ACKNOWLEDGED_PARTS_OF_CREDIT >= self._links[0].plan.hello.credit
        if is_much or now >= self._acknowledge_at:
            self._n_unacknowledged = 0
            for link in self._links:
                link.acknowledge(self._publisher.published)

    def _begin_first(self) -> None:
        """Begin the sessions; at the very first start only on one link, which finds out where to begin."""
        point = self._publisher.published
        for link in self._links[: None if point.ring else 1]:
            link.begin(point)

    def _note_beginning(self, link: Link) -> None:
        """Record where the first session has begun; from there on, each lost image is reported."""
        if not link.is_welcome:
            return
        self._publisher.begin_at(link.beginning)
        for other in self._links[1:]:
            other.begin(self._publisher.published)

    def _restart_session(self, link: Link) -> None:
        """Restart the session of a link, and the sessions of links whose entries wait for this link."""
        pause_s = link.pause_s
        sources = self._publisher.give_up(link.plan.source)
        if self._coming is not None and self._coming.item.source in sources:
            self._coming = None
        for source in sources:
            self._links[source].begin(self._publisher.taken, pause_s=pause_s if source == link.plan.source else 0.0)

    def _check_rings_agree(self) -> None:
        """Restart all sessions if the links have read different rings of the sender for too long."""
        rings = {link.progress.ring for link in self._links if link.progress is not None}
        now = self._clock()
        if len(rings) <= 1:
            self._rings_agreed_at = now
        elif now - self._rings_agreed_at > self._timeout_s:
            self._rings_agreed_at = now
            self._conditions.warning(
                "sources_differ",
                rings=sorted(rings),
                remedy="list only senders of the same server in replication.receive.sources",
            )
            for link in self._links:
                self._restart_session(link)
