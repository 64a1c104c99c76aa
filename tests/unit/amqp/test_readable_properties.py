import struct

import pika
import pika.frame
import pika.spec
import pytest

from std_daq.amqp.readable_properties import read_all_messages


def table(*fields: bytes) -> bytes:
    text = b"".join(fields)
    return struct.pack(">I", len(text)) + text


def nested_lists(depth: int) -> bytes:
    value = b"V"
    for _ in range(depth):
        value = b"A" + struct.pack(">I", len(value)) + value
    return value


UNREADABLE = {
    "a number that is none": b"d" + struct.pack(">d", float("nan")),
    "a number without end": b"f" + struct.pack(">f", float("inf")),
    "a date after the year 9999": b"T" + struct.pack(">Q", 2**63),
    "a field of no known type": b"?",
    "lists in lists": nested_lists(2000),
}


class RawHeaders(pika.BasicProperties):
    """Properties with headers as bytes, for what pika does not encode either."""

    def __init__(self, value: bytes) -> None:
        self.raw = table(b"\x01x", value)
        super().__init__(content_type="application/json", headers={}, correlation_id="an id", message_id="a message")

    def encode(self) -> list[bytes]:
        encoded = b"".join(super().encode())
        begin = 2 + 1 + len(self.content_type)
        return [encoded[:begin], self.raw, encoded[begin + 4 :]]


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_message_with_headers_that_cannot_be_read_comes_without_them(value: bytes) -> None:
    read_all_messages()
    _, frame = pika.frame.decode_frame(pika.frame.Header(1, 7, RawHeaders(value)).marshal())
    assert isinstance(frame, pika.frame.Header)
    assert (frame.properties.correlation_id, frame.properties.message_id) == ("an id", "a message")
    assert not frame.properties.headers


def test_headers_that_can_be_read_are_kept() -> None:
    read_all_messages()
    properties = pika.BasicProperties(headers={"x": 1}, correlation_id="an id")
    _, frame = pika.frame.decode_frame(pika.frame.Header(1, 7, properties).marshal())
    assert isinstance(frame, pika.frame.Header)
    assert (frame.properties.correlation_id, frame.properties.headers) == ("an id", {"x": 1})


def test_message_of_which_nothing_can_be_read_comes_without_properties() -> None:
    read_all_messages()
    cut_off = struct.pack(">HHQHB", 60, 0, 7, pika.BasicProperties.FLAG_CONTENT_TYPE, 255)
    frame = pika.frame.Frame(pika.spec.FRAME_HEADER, 1)._marshal([cut_off])
    _, read = pika.frame.decode_frame(frame)
    assert isinstance(read, pika.frame.Header)
    assert (read.body_size, read.properties.correlation_id, read.properties.headers) == (7, None, None)
