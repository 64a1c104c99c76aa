"""StreamSender: the service that sends the images of the ImageBuffer to all receivers that connect."""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import zmq

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.replication import Ack, Hello, Kind, encode_kind, encode_refusal, kind_of
from std_daq.streams.doorbell import Doorbell
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_stream_send.channel import Channel
from std_stream_send.metrics import SenderMetrics
from std_stream_send.session import Session

MAX_SESSIONS = 64
KEEP_ALIVES_IN_TIMEOUT = 5
_WAIT_MS = 100
_SENDING_WAIT_MS = 1
_LOOK_AGAIN_S = 1.0
_SHOW_S = 0.2
_MAX_MESSAGES_A_STEP = 1000
_RECEIVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Router(Protocol):
    """Accepts connections of receivers."""

    @property
    def n_refused(self) -> int:
        """Connections that were ended before they had a session."""

    @property
    def sockets(self) -> Sequence[Any]:
        """Sockets for which a poller waits."""

    def receive(self) -> tuple[bytes, bytes] | None:
        """Return the identity of a receiver and its message; None if there is no message."""

    def peer(self, identity: bytes) -> Channel:
        """Return the connection to a receiver."""

    def close(self) -> None:
        """Close all connections."""


class StreamSender:
    """The service: sends images to receivers, and only reads the ring.

    The sender stores nothing about its receivers. How far a receiver has come, it tells in its hello.

    Parameters
    ----------
    detector_name
        Name of the detector; receivers of another detector are refused.
    router
        Accepts connections of receivers.
    doorbell
        Wakes up the sender when an image is published.
    attach
        Attaches to the ImageBuffer; raises SharedMemoryError while there is none.
    metrics
        Metrics of the sender.
    timeout_s
        The session of a receiver ends if the receiver is silent for this time. A new hello begins the next one.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(
        self,
        *,
        detector_name: str,
        router: Router,
        doorbell: Doorbell,
        attach: Callable[[], ImageBuffer],
        metrics: SenderMetrics,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._detector_name = detector_name
        self._router = router
        self._doorbell = doorbell
        self._attach = attach
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._clock = clock
        self._log = get_logger()
        self._conditions = ConditionLog()
        self._sessions: dict[bytes, Session] = {}
        self._has_ring = False
        self._next_look = self._next_show = 0.0
        self._poller = zmq.Poller()
        for socket in (*router.sockets, doorbell.socket):
            self._poller.register(socket, zmq.POLLIN)

    @property
    def is_ready(self) -> bool:
        """Whether there is a ring with images to send; receivers are not needed for that."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """What the sender waits for; None if it is ready."""
        return None if self._has_ring else "waiting for the ImageBuffer: is the assembler (or stream_recv) running?"

    def step(self) -> None:
        """Send what can be sent; wait at most 0.1 s for something to do."""
        self._poller.poll(self._wait_ms())
        self._doorbell.wait(0)
        self._handle_messages()
        now = self._clock()
        for identity, session in list(self._sessions.items()):
            session.step()
            if session.is_gone:
                self._end(identity, "the connection ended")
            elif now - session.heard_at > self._timeout_s:
                self._end(identity, "the receiver was silent")
        if now >= self._next_show:
            self._next_show = now + _SHOW_S
            self._show()
        if now >= self._next_look:
            self._next_look = now + _LOOK_AGAIN_S
            self._check_ring()

    def close(self) -> None:
        """Say goodbye to the receivers, and release all resources."""
        for identity in list(self._sessions):
            self._answer(identity, encode_kind(Kind.BYE))
            self._end(identity, "the sender was stopped")
        self._router.close()
        self._doorbell.close()

    def _wait_ms(self) -> int:
        sessions = self._sessions.values()
        if any(session.has_more for session in sessions):
            return 0
        return _SENDING_WAIT_MS if any(session.is_sending for session in sessions) else _WAIT_MS

    def _handle_messages(self) -> None:
        for _ in range(_MAX_MESSAGES_A_STEP):
            received = self._router.receive()
            if received is None:
                break
            identity, message = received
            try:
                self._handle_message(identity, message)
            except ValueError as error:
                self._refuse(identity, str(error))

    def _handle_message(self, identity: bytes, message: bytes) -> None:
        """Handle a message; raises ValueError if it is not valid."""
        match kind_of(message):
            case Kind.HELLO:
                self._begin(identity, Hello.decode(message))
            case Kind.ACK:
                ack = Ack.decode(message)
                session = self._sessions.get(identity)
                if session is None:
                    self._answer(identity, encode_kind(Kind.UNKNOWN))
                else:
                    session.acknowledge(ack)
            case Kind.BYE:
                self._end(identity, "the receiver said goodbye")
            case kind:
                raise ValueError(f"a receiver must not send '{kind}'")

    def _begin(self, identity: bytes, hello: Hello) -> None:
        if hello.detector_name != self._detector_name:
            raise ValueError(f"this sender sends images of '{self._detector_name}', not of '{hello.detector_name}'")
        if not _RECEIVER_NAME.fullmatch(hello.receiver_name):
            raise ValueError("the name of a receiver may only have letters, digits, '.', '_' and '-'")
        for other, session in list(self._sessions.items()):
            same = (session.hello.receiver_name, session.hello.share) == (hello.receiver_name, hello.share)
            if other == identity or same:
                self._end(other, "the receiver began a new session")
        channel = self._router.peer(identity)
        if len(self._sessions) >= MAX_SESSIONS:
            self._make_room(channel.host)
        channel.keep()
        self._sessions[identity] = Session(
            hello,
            channel,
            self._attach,
            keep_alive_s=self._timeout_s / KEEP_ALIVES_IN_TIMEOUT,
            clock=self._clock,
        )
        self._metrics.sessions.inc()
        self._log.info(
            "receiver_came",
            receiver=self._sessions[identity].label,
            ring=hello.point.ring,
            next_sequence=hello.point.sequence,
            credit=hello.credit,
        )

    def _make_room(self, host: str) -> None:
        """End a session of the host that has most of them; raises ValueError if no other host has more than this."""
        hosts = Counter(self._router.peer(identity).host for identity in self._sessions)
        crowded, n = hosts.most_common(1)[0]
        if hosts[host] + 1 >= n:
            raise ValueError(f"{MAX_SESSIONS} receivers are connected already, which is the limit")
        newest = next(identity for identity in reversed(self._sessions) if self._router.peer(identity).host == crowded)
        self._refuse(newest, f"{crowded} has {n} of {MAX_SESSIONS} sessions, and {host} needs one")

    def _end(self, identity: bytes, why: str) -> None:
        session = self._sessions.pop(identity, None)
        if session is None:
            return
        self._count(session)
        self._log.info(
            "receiver_left",
            receiver=session.label,
            why=why,
            ring=session.acknowledged.ring,
            acknowledged=session.acknowledged.sequence,
        )
        session.close()
        self._router.peer(identity).release()

    def _show(self) -> None:
        sessions = list(self._sessions.values())
        for session in sessions:
            self._count(session)
        self._metrics.show(sessions)
        self._metrics.show_refused(self._router.n_refused)

    def _count(self, session: Session) -> None:
        counters = session.pop_counters()
        self._metrics.count(counters)
        if counters.n_lost or counters.n_unnamed:
            self._conditions.warning(
                "images_lost",
                receiver=session.label,
                n=counters.n_lost,
                torn=counters.n_torn,
                unnamed=counters.n_unnamed,
                why="they were overwritten in the ring before they were sent",
            )

    def _refuse(self, identity: bytes, reason: str) -> None:
        self._metrics.refused.inc()
        self._conditions.warning("receiver_refused", reason=reason)
        self._end(identity, reason)
        self._answer(identity, encode_refusal(reason))

    def _answer(self, identity: bytes, message: bytes) -> None:
        peer = self._router.peer(identity)
        peer.send(message)
        peer.transmit()

    def _check_ring(self) -> None:
        try:
            ring = self._attach()
        except SharedMemoryError:
            self._has_ring = False
            return
        self._has_ring = ring.is_live
        ring.close()
