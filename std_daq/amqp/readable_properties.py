"""Messages that pika cannot read: taken without their headers.

pika decodes the headers of a message before anybody else sees it. Some that RabbitMQ passes on make it raise in the
middle of that: a date after the year 9999, lists in lists in lists. Such a message would end
each connection that it comes to, for as long as it is in a queue; whoever may send one request could keep all others
from a writer.
"""

import struct

import pika
import pika.exceptions
import pika.spec

_UNREADABLE = (pika.exceptions.AMQPError, ArithmeticError, OSError, RecursionError, ValueError, struct.error)
# Content type and encoding, short strings that come before the headers if their flags are set.
_BEFORE_HEADERS = (pika.BasicProperties.FLAG_CONTENT_TYPE, pika.BasicProperties.FLAG_CONTENT_ENCODING)
_NO_HEADERS = bytes(4)


class ReadableProperties(pika.BasicProperties):  # type: ignore[misc] # pika has no types
    """Properties that lose headers which cannot be decoded."""

    def decode(self, encoded: bytes, offset: int = 0) -> pika.BasicProperties:
        """Read the properties of a frame."""
        try:
            return super().decode(encoded, offset)
        except _UNREADABLE:
            return super().decode(_without_headers(encoded[offset:]))


def read_all_messages() -> None:
    """Have pika take messages whatever their headers are, in this process."""
    pika.spec.props[pika.BasicProperties.INDEX] = ReadableProperties


def _without_headers(encoded: bytes) -> bytes:
    (flags,) = struct.unpack_from(">H", encoded)
    begin = 2
    for flag in _BEFORE_HEADERS:
        if flags & flag:
            begin += 1 + encoded[begin]
    (n_bytes,) = struct.unpack_from(">I", encoded, begin)
    return encoded[:begin] + _NO_HEADERS + encoded[begin + 4 + n_bytes :]
