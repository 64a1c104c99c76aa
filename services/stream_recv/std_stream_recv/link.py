"""Link: receives from one sender at a time, session after session."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import dtype_of_code
from std_daq.imaging.protocols.replication import (
    Ack,
    Checked,
    ImageHead,
    Kind,
    Point,
    Position,
    Welcome,
    decode_image,
    decode_lost,
    decode_notes,
    decode_refusal,
    encode_kind,
    kind_of,
)
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_stream_recv.order import SourceProgress
from std_stream_recv.plan import LinkPlan
from std_stream_recv.publisher import Item, ItemState

KEEP_ALIVES_IN_TIMEOUT = 5
PAUSE_S = 1.0
SHORT_PAUSE_S = 0.1
FAREWELL_S = 0.1


class Connection(Protocol):
    """A connection to a sender."""

    @property
    def failure(self) -> str:
        """Why the connection has ended; empty while it is open."""

    @property
    def socket(self) -> Any:
        """Socket for which a poller waits."""

    def send(self, message: bytes) -> None:
        """Queue a message."""

    def receive(self) -> bytes | None:
        """Return the next message; None if there is none."""

    def receive_into(self, memory: memoryview) -> int | None:
        """Receive the next message into memory, and return its size; None if the message is not complete yet.

        Until the message is complete, each call must give the same memory.
        """

    def close(self, linger_s: float = 0.0) -> None:
        """Close the connection, after sending queued messages for at most ``linger_s`` seconds."""


class Link:
    """Receives from one sender in one session; if the sender fails, from the next one in the next session.

    Parameters
    ----------
    plan
        Plan of the link.
    connect
        Opens a connection to an address.
    write_notes
        Called with the notes of the sender's ring.
    clock
        Returns the monotonic time in seconds.

    Attributes
    ----------
    connection
        Connection of the session; None in a pause between two sessions.
    failure, pause_s
        Why the session has failed, empty while it goes on; and how long to wait before the next session, in seconds.
    beginning
        Point in the sender's ring at which the session has begun.
    trouble
        Why the sender has not answered, or not yet.
    n_sessions, n_unnamed
        Sessions in which the sender answered; journal entries that were overwritten before the sender read them.
    n_waiting
        Entries that wait at the sender.
    """

    def __init__(
        self,
        plan: LinkPlan,
        connect: Callable[[str], Connection],
        write_notes: Callable[[dict[str, Any]], None],
        clock: Callable[[], float],
    ) -> None:
        self.plan = plan
        self.connection: Connection | None = None
        self.failure, self.pause_s = "", 0.0
        self.beginning = Point()
        self.trouble = "not connected yet"
        self.n_sessions = self.n_unnamed = self.n_waiting = 0
        self._connect = connect
        self._write_notes = write_notes
        self._clock = clock
        self._log = get_logger()
        self._conditions = ConditionLog(period_s=10.0, clock=clock)
        self._attempt = 0
        self._point = Point()
        self._open_at = math.inf  # until `begin` is called
        self._pixel_bytes = plan.form.height * plan.form.width * dtype_of_code(plan.form.dtype).itemsize
        self._session = 0
        self._ring = self._next_sequence = 0
        self._head: ImageHead | None = None
        self._n_chunks = 0
        self._lost: deque[NDArray[Any]] = deque()
        self._unchecked: deque[Item] = deque()
        self._n_told = self._n_finished = self._n_unnamed_told = 0
        self._acknowledged = Point()
        self._acknowledged_at = self._heard_at = clock()

    @property
    def address(self) -> str:
        """Address of the sender."""
        return self.plan.addresses[self._attempt % len(self.plan.addresses)]

    @property
    def is_welcome(self) -> bool:
        """Whether the sender has answered, and its images have the right shape and type."""
        return self._ring != 0

    @property
    def has_entry(self) -> bool:
        """Whether the next entry has come: the head of an image, or a lost image."""
        return self._head is not None or bool(self._lost)

    @property
    def progress(self) -> SourceProgress | None:
        """Position of the link in the sender's journal; None while it is not known."""
        return SourceProgress(self._ring, self._next_sequence, self.has_entry) if self.is_welcome else None

    def begin(self, point: Point, *, pause_s: float = 0.0) -> None:
        """End the session, and begin the next one at a point, after a pause."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        self._point = point
        self._open_at = self._clock() + pause_s
        self._reset()

    def advance(self) -> None:
        """Handle messages up to the next entry, but no chunks; begin the next session when its time has come."""
        if self.connection is None and self._clock() >= self._open_at:
            self._open()
        while self.connection is not None and not (self.has_entry or self._n_chunks or self.failure):
            message = self.connection.receive()
            if message is None:
                self._check_connection(self.connection)
                break
            self._heard_at = self._clock()
            try:
                self._handle_message(message)
            except ValueError as error:
                self._fail(f"invalid message: {error}", pause_s=PAUSE_S)

    def check_timeouts(self) -> None:
        """Check whether the sender is silent, and send an acknowledgement if none was sent for a while."""
        now = self._clock()
        if self.connection is None:
            return
        if self.has_entry:
            self._heard_at = now  # its messages wait in this process, so the sender is not silent
        elif not self.failure and now - self._heard_at > self.plan.timeout_s:
            self._fail("the sender is silent", is_elsewhere=True)
        if now - self._acknowledged_at > self.plan.timeout_s / KEEP_ALIVES_IN_TIMEOUT:
            self.acknowledge(self._acknowledged)

    def pop_entry(self) -> tuple[Item, ImageHead | None]:
        """Take the next entry: its item, and the head of its image; None in place of the head if the image is lost."""
        head, self._head = self._head, None
        if head is None:
            item = Item(self.plan.source, self._session, self._ring, self._lost.popleft(), None, ItemState.LOST)
        else:
            item = Item(self.plan.source, self._session, self._ring, head.metadata, head.modules, ItemState.COMING)
            self._n_chunks = head.n_chunks
        self._next_sequence = int(self._lost[0]["sequence"][0]) if self._lost else item.sequence + 1
        return item, head

    def receive_chunk(self, memory: memoryview) -> bool:
        """Receive the next chunk of an image into memory of its exact size, and return whether it is complete."""
        if self.connection is None:
            return False
        n_bytes = self.connection.receive_into(memory)
        if n_bytes is None:
            self._check_connection(self.connection)
            return False
        self._heard_at = self._clock()
        if n_bytes != len(memory):
            self._handle_end(bytes(memory[:n_bytes]), n_bytes)
            return False
        self._n_chunks -= 1
        return True

    def await_check(self, item: Item) -> None:
        """Record that all pixels of an image have come, and wait for the sender to tell whether it was whole."""
        item.state = ItemState.UNCHECKED
        self._unchecked.append(item)

    def finish(self, item: Item) -> None:
        """Count a published entry, if it belongs to this session."""
        self._n_finished += item.session == self._session

    def acknowledge(self, point: Point) -> None:
        """Acknowledge the entries up to a point to the sender."""
        self._acknowledged = point
        self._acknowledged_at = self._clock()
        if self.connection is not None:
            self.connection.send(Ack(self._n_finished, point).encode())

    def close(self) -> None:
        """Say goodbye to the sender, and close the connection."""
        if self.connection is not None:
            self.connection.send(encode_kind(Kind.BYE))
            self.connection.close(FAREWELL_S)
            self.connection = None

    def _reset(self) -> None:
        self.failure = ""
        self._session += 1
        self._ring = self._next_sequence = 0
        self._head = None
        self._n_chunks = 0
        self._lost.clear()
        self._unchecked.clear()
        self._n_told = self._n_finished = self._n_unnamed_told = 0
        self._acknowledged = self._point
        self._acknowledged_at = self._heard_at = self._clock()

    def _open(self) -> None:
        self.connection = self._connect(self.address)
        self.connection.send(replace(self.plan.hello, point=self._point).encode())
        self._heard_at = self._acknowledged_at = self._clock()

    def _fail(self, why: str, *, pause_s: float = 0.0, is_elsewhere: bool = False) -> None:
        self.failure = self.trouble = why
        self.pause_s = pause_s
        self._conditions.warning("source_lost", address=self.address, why=why)
        if is_elsewhere:
            self._attempt += 1

    def _check_connection(self, connection: Connection) -> None:
        if connection.failure and not self.failure:
            self._fail(connection.failure, pause_s=SHORT_PAUSE_S, is_elsewhere=not self.is_welcome)

    def _handle_message(self, message: bytes) -> None:
        """Handle a message; raises ValueError if it is not valid."""
        kind = kind_of(message)
        match kind:
            case Kind.WELCOME:
                self._handle_welcome(Welcome.decode(message))
            case Kind.REFUSED:
                self._fail(f"the sender refuses: {decode_refusal(message)}", pause_s=PAUSE_S, is_elsewhere=True)
            case Kind.BYE:
                self._fail("the sender was stopped", is_elsewhere=True)
            case Kind.UNKNOWN:
                self._fail("the sender does not know this session any more")
            case Kind.POSITION:
                self._handle_position(Position.decode(message))
            case Kind.NOTES | Kind.IMAGE | Kind.LOST | Kind.CHECKED if self.is_welcome:
                self._handle_data(kind, message)
            case _:
                raise ValueError(f"unexpected '{kind}'")

    def _handle_end(self, message: bytes, n_bytes: int) -> None:
        """Handle a message that came instead of a chunk: only one that ends the session is valid there."""
        is_end = any(message.startswith(encode_kind(kind)) for kind in (Kind.BYE, Kind.UNKNOWN, Kind.REFUSED))
        if is_end:
            self._handle_message(message)
        else:
            self._fail(f"invalid message: a chunk of {n_bytes} bytes", pause_s=PAUSE_S)

    def _handle_data(self, kind: Kind, message: bytes) -> None:
        match kind:
            case Kind.NOTES:
                self._write_notes(decode_notes(message))
            case Kind.CHECKED:
                self._handle_checked(Checked.decode(message))
            case Kind.LOST:
                entries = decode_lost(message)
                sequences = entries["sequence"].astype(np.int64)
                if (np.diff(sequences) <= 0).any():
                    raise ValueError("lost images out of order")
                self._advance_to(int(sequences[0]), len(entries))
                self._lost.extend(entries[i : i + 1] for i in range(len(entries)))
            case _:
                head = decode_image(message, self.plan.form, self._pixel_bytes)
                self._advance_to(head.sequence)
                self._head = head

    def _handle_welcome(self, welcome: Welcome) -> None:
        if self._unchecked:
            raise ValueError("the next ring came before the images of the previous one were checked")
        if welcome.form != self.plan.form:
            self._fail(f"the sender's images are {welcome.form}, this server's {self.plan.form}", pause_s=PAUSE_S)
            return
        if welcome.n_slots > self.plan.n_slots:
            # After an interruption, all images of the sender's ring may come at once.
            self._log.warning("ring_smaller_than_source", slots=self.plan.n_slots, slots_of_source=welcome.n_slots)
        if not self.is_welcome:
            self.n_sessions += 1
            self.beginning = welcome.point
            if self._point.ring not in {0, welcome.point.ring}:
                self._conditions.warning(
                    "ring_of_source_replaced",
                    address=self.address,
                    had_come_to=self._point.sequence,
                    why="the old ring is gone; whether it held further images cannot be known",
                )
        self._ring, self._next_sequence = welcome.point.ring, welcome.point.sequence
        self._log.info("source_answered", address=self.address, ring=self._ring, next_sequence=self._next_sequence)

    def _handle_position(self, position: Position) -> None:
        self.n_waiting = position.n_waiting
        if not self.is_welcome:
            self.trouble = "the sender has no images yet"
            return
        if position.next_sequence < self._next_sequence:
            raise ValueError(f"position {position.next_sequence} after {self._next_sequence}")
        self._next_sequence = position.next_sequence
        n_new = position.n_unnamed - self._n_unnamed_told
        if n_new > 0:
            self._n_unnamed_told = position.n_unnamed
            self.n_unnamed += n_new
            self._conditions.warning("images_lost_unnamed", address=self.address, entries=n_new)

    def _handle_checked(self, checked: Checked) -> None:
        while self._unchecked and self._unchecked[0].sequence < checked.next_sequence:
            item = self._unchecked.popleft()
            item.state = ItemState.LOST if item.sequence in checked.torn else ItemState.WHOLE

    def _advance_to(self, sequence: int, n_entries: int = 1) -> None:
        """Advance to the next entries; raises ValueError if they go backwards or exceed the credit."""
        self._n_told += n_entries
        if self._n_told - self._n_finished > self.plan.hello.credit:
            raise ValueError(f"{self._n_told - self._n_finished} entries on their way exceed the credit")
        if sequence < self._next_sequence:
            raise ValueError(f"sequence {sequence} after {self._next_sequence}")
        self._next_sequence = sequence
