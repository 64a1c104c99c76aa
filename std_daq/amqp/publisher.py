"""BrokerPublisher: publishes messages in order, and knows whether the broker takes messages at all.

Messages are persistent, and the broker confirms each of them (publisher confirms) before the next is sent. If the
connection breaks before the confirmation of a message, the message is published again. A message may therefore arrive
twice; the receiver recognises the second one by its request id.

A message that the broker refuses, because of its length for example, is not published again: it would disturb the
broker for ever, and the messages behind it would never be sent.

While the disk or the memory of the broker is full (an alarm), RabbitMQ reads nothing from connections that publish, and
says so (connection.blocked) to a connection that tries. To hear of an alarm before a message is on its way, and while
there is none to send, the publisher sends a probe: a message that no queue receives.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import pika
import pika.exceptions
from pika.channel import Channel

from std_daq.amqp.address import BrokerAddress
from std_daq.amqp.away_log import AwayLog
from std_daq.amqp.connecting import CuttingLoop, connect, root_of
from std_daq.amqp.failures import NOT_FOUND, blames_the_message
from std_daq.amqp.link import BrokerLink
from std_daq.amqp.messages import Message, encode_properties, fit_into_frame
from std_daq.amqp.parameters import connection_parameters
from std_daq.amqp.topology import PROBE_KEY, VALUE, explain_missing_exchange
from std_daq.errors import BrokerBlockedError, BrokerError, MessageRefusedError

MAX_WAITING = 10_000
PAUSES_OF_REFUSALS_S = (0.1, 0.2, 0.5, 1.0, 2.0)
PROBE_PERIOD_S = 2.0
# A message whose sending broke this many connections in a row makes room for the others.
MAX_BREAKS = 10
# Time for what waits to be sent when the link is closed, and for pika to notice that a connection is cut.
CLOSE_S = 4.0
STOP_S = 0.5


@dataclass(slots=True)
class _Outgoing:
    """A message that waits for its confirmation."""

    message: Message
    confirmation: Future[None]
    is_begun: bool = False
    n_refusals: int = 0
    n_breaks: int = 0

    def begin(self) -> bool:
        """Return whether the message is to be sent, that is, not cancelled; from now on it cannot be cancelled."""
        self.is_begun = self.is_begun or self.confirmation.set_running_or_notify_cancel()
        return self.is_begun

    def fail(self, error: BrokerError) -> None:
        """Tell the sender that the message was not, or may not have been, published."""
        if self.begin() and not self.confirmation.done():
            self.confirmation.set_exception(error)

    def succeed(self) -> None:
        """Tell the sender that the broker has confirmed the message."""
        if not self.confirmation.done():
            self.confirmation.set_result(None)


class BrokerPublisher(BrokerLink):
    """Publishes messages in order, one at a time.

    Parameters
    ----------
    address, name, away_log, changed
        As in `BrokerLink`.
    probe_exchange
        Exchange that takes the probes.
    after
        Link that declares the exchanges; the publisher connects when this link is connected.
    max_waiting
        High-water mark: largest number of messages that wait to be published.
    """

    def __init__(
        self,
        address: BrokerAddress,
        name: str,
        away_log: AwayLog,
        changed: threading.Condition,
        *,
        probe_exchange: str,
        after: BrokerLink | None = None,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        super().__init__(address, name, away_log, changed)
        self._probe = Message(exchange=probe_exchange, routing_key=PROBE_KEY, correlation_id="")
        self._after = after
        self._max_waiting = max_waiting
        self._waiting: deque[_Outgoing] = deque()
        self._loop: CuttingLoop | None = None
        self._connection: pika.SelectConnection
        self._channel: Channel | None = None
        self._sent: _Outgoing | None = None
        self._is_returned = False
        self._is_ending = False
        self._may_probe = True
        self._enter: Callable[[], None]
        self._end: Exception | None = None
        self._blocked: str | None = None

    @property
    def why_blocked(self) -> str | None:
        """Why the broker takes no messages although it is connected; None while it takes them."""
        reason = self._blocked
        return None if reason is None else f"the broker at {self.place} blocks publishers: {reason}"

    @property
    def n_waiting(self) -> int:
        """Messages that wait to be published, or for their confirmation."""
        return len(self._waiting)

    def publish(self, message: Message) -> Future[None]:
        """Queue a message; it is published as soon as the broker is connected and takes messages.

        Raises
        ------
        BrokerError
            ``max_waiting`` messages wait already, the message cannot be encoded, or the connection is closed.
        BrokerBlockedError
            The broker blocks publishers, and the message may not wait for the end of that.
        """
        encode_properties(message, self.name)
        outgoing = _Outgoing(message, Future())
        with self._changed:
            self.check_open()
            if self.why_blocked is not None and not message.may_wait:
                raise BrokerBlockedError(f"{self.why_blocked}; the message was not sent")
            if len(self._waiting) >= self._max_waiting:
                raise BrokerError(f"{len(self._waiting)} messages wait for the broker at {self.place}: {self._trouble}")
            self._waiting.append(outgoing)
        self._wake()
        return outgoing.confirmation

    # -- the session; everything below runs in the thread of the link, except `_wake`

    def _wake(self) -> None:
        with self._changed:
            if self._loop is not None:
                self._loop.add_callback_threadsafe(self._look)

    def _serve(self, url: str, enter: Callable[[], None]) -> None:
        self._enter = enter
        self._end = None
        self._may_probe = True
        self._is_ending = False
        self._wait_for_declarations()
        if self._closing.is_set():
            return
        loop = CuttingLoop()
        with self._changed:
            self._loop = loop
        try:
            connect(connection_parameters(url, self.address, self.name), loop, self._on_connect)
            loop.start()
        finally:
            with self._changed:
                self._loop = None
            loop.close()
            self._forget_session()
        if self._end is not None and not self._closing.is_set():
            raise self._end

    def _wait_for_declarations(self) -> None:
        after = self._after
        if after is not None:
            with self._changed:
                self._changed.wait_for(lambda: after.is_connected or self._closing.is_set())

    def _forget_session(self) -> None:
        self._channel = None
        with self._changed:
            self._blocked = None
        sent, self._sent = self._sent, None
        if sent is None or sent.message is self._probe:
            return
        sent.n_breaks += 1
        if self._end is not None and blames_the_message(self._end):
            self._drop(sent, MessageRefusedError(f"the broker closed the connection at the message: {self._end}"))
        elif sent.n_breaks >= MAX_BREAKS:
            self._drop(sent, BrokerError(f"{sent.n_breaks} connections broke while the message was sent: {self._end}"))

    def _on_connect(self, result: pika.SelectConnection | BaseException) -> None:
        if not isinstance(result, pika.SelectConnection):
            self._end = root_of(result)
            self._stop()
            return
        self._connection = result
        self._trouble = "it is connected, but does not open a channel"
        result.add_on_close_callback(self._on_end)
        result.add_on_connection_blocked_callback(self._on_blocked)
        result.add_on_connection_unblocked_callback(self._on_unblocked)
        self._open_channel()

    def _on_end(self, _: object, error: Exception) -> None:
        self._end = error
        self._stop()

    def _stop(self) -> None:
        if self._loop is not None:
            self._loop.stop()

    def _later(self, delay_s: float, what: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_later(delay_s, what)

    def _open_channel(self) -> None:
        if self._connection.is_open:
            self._connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._use(channel))

    def _use(self, channel: Channel) -> None:
        self._channel = channel
        if self._may_probe and not self.is_connected:
            self._send_probe()
        else:
            self._be_ready()

    def _be_ready(self) -> None:
        """Note that the broker takes messages, or that it says why it does not."""
        if not self.is_connected:
            self._enter()
            self._later(PROBE_PERIOD_S, self._probe_again)
        self._look()

    def _look(self) -> None:
        """Send the next message, or end the session if that is wanted and no message can be sent any more."""
        if self._closing.is_set() and not self._is_ending:
            self._is_ending = True
            self._later(CLOSE_S, self._cut)
        if self._closing.is_set() and (self._blocked is not None or (self._channel is None and not self._waiting)):
            self._cut()
            return
        while self._channel is not None and self._sent is None and self._waiting and self._blocked is None:
            outgoing = self._waiting[0]
            if outgoing.begin() and not outgoing.confirmation.done():
                self._send(self._channel, outgoing)
            else:
                self._waiting.popleft()
        if self._closing.is_set() and self._channel is not None and self._sent is None and self._connection.is_open:
            self._connection.close()

    def _cut(self) -> None:
        """End the session without the help of the broker."""
        if self._loop is not None:
            self._loop.cut()
            self._later(STOP_S, self._stop)

    def _send(self, channel: Channel, outgoing: _Outgoing) -> None:
        try:
            message = fit_into_frame(outgoing.message, self.name, self._connection.params.frame_max)
            properties = encode_properties(message, self.name)
        except BrokerError as error:
            self._drop(outgoing, error)
            return
        self._sent = outgoing
        self._is_returned = False
        channel.basic_publish(message.exchange, message.routing_key, message.body, properties, message.is_mandatory)

    def _drop(self, outgoing: _Outgoing, error: BrokerError) -> None:
        """Give up a message, which is the first of those that wait."""
        if self._waiting and self._waiting[0] is outgoing:
            self._waiting.popleft()
        outgoing.fail(error)

    def _on_return(self, *_: object) -> None:
        self._is_returned = True

    def _on_confirm(self, frame: "pika.frame.Method[pika.spec.Basic.Ack]") -> None:
        outgoing, self._sent = self._sent, None
        if outgoing is None:
            return
        if outgoing.message is self._probe:
            self._be_ready()
            return
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self._retry(outgoing)
            return
        if self._is_returned:
            self._drop(outgoing, BrokerError(self._describe_return(outgoing.message)))
        else:
            self._waiting.popleft()
            outgoing.succeed()
        self._look()

    def _describe_return(self, message: Message) -> str:
        with_what = ", with names in its measured_values" if message.exchange == VALUE else ""
        return (
            f"no queue at the broker at {self.place} receives a {message.exchange} "
            f"for '{message.routing_key}': start the writer with this tag{with_what}, or check the tag"
        )

    def _retry(self, outgoing: _Outgoing) -> None:
        """Publish a message again that the broker did not take (basic.nack), some times.

        A cluster refuses messages this way while it loses a node. A channel that was opened at that moment refuses all
        later messages, too, because it asks the lost node (seen with RabbitMQ 3.10.8). Each retry therefore opens a
        new channel.
        """
        if outgoing.n_refusals >= len(PAUSES_OF_REFUSALS_S):
            what = f"the broker at {self.place} did not take the {outgoing.message.exchange}: its queue may be full"
            self._drop(outgoing, BrokerError(what))
            self._look()
            return
        pause_s = PAUSES_OF_REFUSALS_S[outgoing.n_refusals]
        outgoing.n_refusals += 1
        channel, self._channel = self._channel, None
        if channel is not None:
            self._later(pause_s, channel.close)

    def _on_channel_closed(self, _: Channel, reason: Exception) -> None:
        """Open a new channel, if the old one was closed because of a retry or a refused message."""
        self._channel = None
        outgoing, self._sent = self._sent, None
        if not self._connection.is_open:
            self._sent = outgoing
            return
        if outgoing is not None and outgoing.message is self._probe:
            self._may_probe = False  # no right to send it, or no such exchange
        elif outgoing is not None:
            self._drop(outgoing, _refusal(reason, outgoing.message))
        self._open_channel()

    # -- alarms

    def _probe_again(self) -> None:
        if self._may_probe and self._channel is not None and self._sent is None and not self._waiting:
            self._send_probe()
        self._later(PROBE_PERIOD_S, self._probe_again)

    def _send_probe(self) -> None:
        if self._channel is not None:
            self._send(self._channel, _Outgoing(self._probe, Future()))

    def _on_blocked(self, _: object, frame: "pika.frame.Method[pika.spec.Connection.Blocked]") -> None:
        with self._changed:
            self._blocked = _describe_alarm(str(frame.method.reason))
            sent = self._sent
            impatient = [one for one in self._waiting if one is not sent and not one.message.may_wait]
            for outgoing in impatient:
                self._waiting.remove(outgoing)
            self._changed.notify_all()
        self._log.warning("broker_blocks_publishers", broker=self.connected_to or self.place, reason=self._blocked)
        if sent is not None and not sent.message.may_wait:
            fate = "the message may have been sent and may be carried out when that ends"
            sent.fail(BrokerBlockedError(f"{self.why_blocked}; {fate}"))
        for outgoing in impatient:
            outgoing.fail(BrokerBlockedError(f"{self.why_blocked}; the message was not sent"))
        self._be_ready()

    def _on_unblocked(self, *_: object) -> None:
        with self._changed:
            self._blocked = None
            self._changed.notify_all()
        self._log.info("broker_takes_messages_again", broker=self.connected_to or self.place)
        self._look()

    def _finish(self) -> None:
        super()._finish()
        with self._changed:
            waiting = list(self._waiting)
            self._waiting.clear()
        for outgoing in waiting:
            outgoing.fail(BrokerError(f"not confirmed by the broker at {self.place} before the connection was closed"))


def _refusal(reason: Exception, message: Message) -> BrokerError:
    if isinstance(reason, pika.exceptions.ChannelClosedByBroker):
        if reason.reply_code == NOT_FOUND:
            return BrokerError(f"the message was not sent: {explain_missing_exchange(message.exchange)}")
        error = MessageRefusedError if blames_the_message(reason) else BrokerError
        return error(f"the broker refused the message: {reason.reply_text}")
    return BrokerError(f"the channel was closed: {reason!r}")


def _describe_alarm(reason: str) -> str:
    """Return an alarm in words, with RabbitMQ's reason, such as ``low on disk``."""
    names = [name for name in ("disk", "memory") if name in reason]
    return f"{' and '.join(names)} alarm ({reason})" if names else reason
