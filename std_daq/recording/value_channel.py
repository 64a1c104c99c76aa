"""Measured values: how a program sends them to a writer, and how they arrive there."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.messages import Delivery, Message
from std_daq.amqp.topology import VALUE, check_tag
from std_daq.errors import BrokerError
from std_daq.recording.measured_values import MAX_VALUES_A_MESSAGE, MeasuredValue, encode_values


@dataclass(frozen=True, slots=True)
class ReceivedValues:
    """Measured values as they arrived; nothing of them is checked yet.

    Attributes
    ----------
    delivery
        The message.
    """

    delivery: Delivery


class ValuePublisher:
    """Send measured values to a writer.

    Parameters
    ----------
    connection
        Connection to the broker, with any topology.
    tag
        Tag of the writer, the routing key of the messages.
    """

    def __init__(self, connection: BrokerConnection, tag: str) -> None:
        self._connection = connection
        self._tag = check_tag(tag)

    def publish(self, values: Sequence[MeasuredValue], *, timeout_s: float = 10.0) -> None:
        """Send values, and return when the broker has confirmed them.

        Raises
        ------
        BrokerError
            There is no writer with this tag that takes values, or the broker did not confirm in time.
        BrokerBlockedError
            The broker takes no messages, because its disk or memory is full. This is told at once.
        """
        parts = range(0, len(values), MAX_VALUES_A_MESSAGE)
        sent = [self._publish(values[first : first + MAX_VALUES_A_MESSAGE]) for first in parts]
        for confirmation in sent:
            try:
                confirmation.result(timeout_s)
            except TimeoutError:
                confirmation.cancel()
                raise BrokerError(f"no answer from the broker within {timeout_s} s: values were not sent") from None

    def _publish(self, values: Sequence[MeasuredValue]) -> Future[None]:
        message = Message(
            exchange=VALUE,
            routing_key=self._tag,
            body=encode_values(values),
            correlation_id="",
            is_mandatory=True,
            may_wait=False,
        )
        return self._connection.publish(message)
