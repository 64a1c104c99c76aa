"""Messages whose headers pika cannot decode; they are received without their headers.

pika decodes the headers of a message before any other code sees the message. Some headers that RabbitMQ accepts make
pika raise an exception: a date after the year 9999, or deeply nested lists. Such a message would break every
connection that consumes its queue, for as long as the message is in the queue. Whoever may send one request could
thus block all other requests to a writer.
"""

import struct

import pika
import pika.spec

# Content type and encoding: short strings that precede the headers if their flags are set.
_BEFORE_HEADERS = (pika.BasicProperties.FLAG_CONTENT_TYPE, pika.BasicProperties.FLAG_CONTENT_ENCODING)
_NO_HEADERS = bytes(4)


class ReadableProperties(pika.BasicProperties):  # type: ignore[misc] # pika has no types
    """AMQP properties that drop the headers, or all properties, if pika cannot decode them."""

    def decode(self, encoded: bytes, offset: int = 0) -> pika.BasicProperties:
        """Decode the properties of a frame, without its headers if these cannot be decoded."""
        try:
            return super().decode(encoded, offset)
        except Exception:  # noqa: BLE001 -- whatever it is, it would be raised again at each delivery of the message
            try:
                return super().decode(_without_headers(encoded[offset:]))
            except Exception:  # noqa: BLE001 -- see above
                self.__init__()  # type: ignore[misc] # as if the message had no properties
                return self


def read_all_messages() -> None:
    """Make pika accept messages whatever their headers are, in this whole process."""
    pika.spec.props[pika.BasicProperties.INDEX] = ReadableProperties


def _without_headers(encoded: bytes) -> bytes:
    (flags,) = struct.unpack_from(">H", encoded)
    begin = 2
    for flag in _BEFORE_HEADERS:
        if flags & flag:
            begin += 1 + encoded[begin]
    (n_bytes,) = struct.unpack_from(">I", encoded, begin)
    return encoded[:begin] + _NO_HEADERS + encoded[begin + 4 + n_bytes :]
