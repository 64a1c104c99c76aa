"""ServerLink: the thread of a client that speaks with a server, with many events in flight over one connection.

A server or router that was started again knows nothing of the events that it had been sent. So whenever the connection
comes back, all events without a reply are sent again, and one by one after a longer silence. A server recognises an
event that it has.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

import zmq
from zmq.utils.monitor import parse_monitor_message

from std_daq.errors import SimulationError
from std_daq.photons.endpoints import connect_watched_dealer, receive_all
from std_daq.photons.keys import ClientKeys
from std_daq.photons.replies import EventReply, Refused, read_event_reply

_POLL_MS = 100
_SEND_AGAIN_S = 10.0
_SEND_AGAIN_AT_MOST_S = 120.0
_AFTER_REFUSAL_S = 0.5


@dataclass(slots=True, eq=False)
class _OpenEvent:
    event_id: int
    request: Sequence[bytes]
    future: "Future[EventReply]" = field(default_factory=Future)
    pause_s: float = _SEND_AGAIN_S
    send_again_s: float = 0.0


class ServerLink:
    """Sends events and takes replies, in a thread, from its creation until `close`.

    Parameters
    ----------
    address
        The server or router.
    n_in_flight
        Number of events that the server has at a time.
    patience_s
        How long the server may be away before events fail; None: for ever.
    keys
        Those of this client, if the server encrypts.
    """

    def __init__(
        self, address: str, n_in_flight: int, patience_s: float | None, keys: ClientKeys | None = None
    ) -> None:
        self._address = address
        self._n_in_flight = n_in_flight
        self._patience_s = patience_s
        self._new: deque[_OpenEvent] = deque()
        self._in_flight: dict[int, _OpenEvent] = {}
        self._is_ending = False
        self._is_connected = False
        self._lost_s = time.monotonic()
        self.n_sent_again = 0
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._dealer, self._monitor = connect_watched_dealer(self._context, address, keys=keys)
        self._thread = threading.Thread(target=self._run, name="photon-client", daemon=True)
        self._thread.start()

    def submit(self, event_id: int, request: Sequence[bytes]) -> "Future[EventReply]":
        """Send a request when there is room; returns what will hold the reply.

        Two events of one number are never in flight together: the reply names nothing else.
        """
        event = _OpenEvent(event_id, request)
        self._new.append(event)
        os.eventfd_write(self._wake, 1)
        return event.future

    def close(self) -> None:
        """Close the connection; events without a reply fail."""
        self._is_ending = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)

    def _run(self) -> None:
        poller = zmq.Poller()
        for source in (self._dealer, self._monitor, self._wake):
            poller.register(source, zmq.POLLIN)
        try:
            while not self._is_ending:
                poller.poll(_POLL_MS)
                self._step(time.monotonic())
        finally:
            self._fail_all("the client was closed")
            self._dealer.disable_monitor()
            self._monitor.close(linger=0)
            self._dealer.close(linger=0)
            self._context.term()

    def _step(self, now_s: float) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        self._watch(now_s)
        for _, *frames in (message for message in receive_all(self._dealer) if len(message) > 1):
            self._take(read_event_reply([frame.buffer for frame in frames]), now_s)
        self._send_new(now_s)
        self._send_again(lambda event: now_s >= event.send_again_s, now_s)
        if self._patience_s is not None and not self._is_connected and now_s - self._lost_s > self._patience_s:
            self._fail_all(f"no server answers at {self._address}")

    def _watch(self, now_s: float) -> None:
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            was_connected, self._is_connected = self._is_connected, event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            if self._is_connected:
                # What had been sent before may have been lost with the connection.
                self._send_again(lambda _: True, now_s)
            elif was_connected:
                self._lost_s = now_s

    def _take(self, reply: EventReply, now_s: float) -> None:
        if isinstance(reply, Refused):
            # It does not say which event it refuses. Those that the server has are answered by what it knows.
            for event in self._in_flight.values():
                event.send_again_s = min(event.send_again_s, now_s + _AFTER_REFUSAL_S)
            return
        event_of_reply = self._in_flight.pop(reply.event_id, None)
        if event_of_reply is not None and not event_of_reply.future.cancelled():
            event_of_reply.future.set_result(reply)

    def _send_new(self, now_s: float) -> None:
        for _ in range(len(self._new)):
            if len(self._in_flight) >= self._n_in_flight:
                return
            event = self._new.popleft()
            if event.event_id in self._in_flight:
                self._new.append(event)
            elif event.future.set_running_or_notify_cancel():
                self._in_flight[event.event_id] = event
                self._send(event, now_s)

    def _send_again(self, is_due: Callable[[_OpenEvent], bool], now_s: float) -> None:
        for event in self._in_flight.values():
            if is_due(event):
                self.n_sent_again += 1
                event.pause_s = min(2 * event.pause_s, _SEND_AGAIN_AT_MOST_S)
                self._send(event, now_s)

    def _send(self, event: _OpenEvent, now_s: float) -> None:
        event.send_again_s = now_s + event.pause_s
        if self._is_connected:
            self._dealer.send_multipart([b"", *event.request], copy=False)

    def _fail_all(self, reason: str) -> None:
        events = [*self._in_flight.values(), *self._new]
        self._in_flight.clear()
        self._new.clear()
        for event in events:
            if event.future.running() or event.future.set_running_or_notify_cancel():
                event.future.set_exception(SimulationError(reason))
