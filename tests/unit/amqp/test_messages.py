import pytest

from std_daq.amqp.messages import Message, encode_properties
from std_daq.errors import BrokerError


def test_message_is_persistent_and_carries_the_request_id() -> None:
    properties = encode_properties(Message(exchange="status", correlation_id="r", headers={"n": 1}), "writer")
    assert properties.delivery_mode == 2
    assert properties.correlation_id == b"r"
    assert properties.headers == {"n": 1}


@pytest.mark.parametrize(
    "message",
    [
        Message(exchange="status", correlation_id="r" * 300),
        Message(exchange="status", correlation_id="r", routing_key="t" * 300),
        Message(exchange="status", correlation_id="r", headers={"a": object()}),
        Message(exchange="status", correlation_id="r", headers={"a": 2**70}),
    ],
    ids=["long id", "long tag", "unknown type", "long number"],
)
def test_message_that_would_break_the_connection_is_refused_at_once(message: Message) -> None:
    with pytest.raises(BrokerError):
        encode_properties(message, "writer")
