"""The messages that clients are sent: each is encoded once for all. Pure."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from google.protobuf.struct_pb2 import Struct

from std_daq.telescope.ubloxcontrol import ublox_control_pb2 as messages
from std_daq.telescope.ubx.message import UbxMessage

_LENGTH_DELIMITED = 2
_GNSS_PACKET = messages.PollResponse.GNSS_PACKET_FIELD_NUMBER
_BITS = 7


def capture(message: UbxMessage, fields: Mapping[str, Any] | None = None) -> messages.CaptureUbloxResponse:
    """Return a message of the receiver as clients get it; ``fields`` take the place of its own."""
    answer = messages.CaptureUbloxResponse(
        type=messages.CaptureUbloxResponse.DATA,
        name=message.identity,
        payload=message.raw,
        sequence_number=message.number,
    )
    answer.parsed_data.update(message.fields if fields is None else fields)
    answer.pkt_unix_timestamp.FromNanoseconds(message.time_ns)
    return answer


def streamed(message: UbxMessage, n_dropped: int) -> bytes:
    """Return a message for a stream: what is the same for all clients, and what is this client's own."""
    about_client = messages.CaptureUbloxResponse(dropped=n_dropped)
    about_client.sent_timestamp.GetCurrentTime()
    # A message may be composed of pieces in any order.
    return _encode(message) + about_client.SerializeToString()


def polled(packets: list[tuple[messages.CaptureUbloxResponse, dict[str, Any]]], unanswered: list[str]) -> bytes:
    """Return the answer to PollMessage, which clients of both generations understand.

    Field 1 is a list of CaptureUbloxResponse for clients of 2025, and one Struct for those of 2026. In the former,
    number 1 is an integer, in the latter a list of entries. A parser leaves out a number of another type than it knows.
    So each packet holds both, and the entries of all packets together are the Struct.

    Parameters
    ----------
    packets
        The messages, each with what it adds to the Struct.
    unanswered
        What the receiver has not answered.
    """
    encoded = bytearray()
    for packet, entries in packets:
        struct = Struct()
        struct.update(entries)
        content = packet.SerializeToString() + struct.SerializeToString()
        encoded += _varint(_GNSS_PACKET << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content
    return bytes(encoded) + messages.PollResponse(unanswered=unanswered).SerializeToString()


@lru_cache(maxsize=256)
def _encode(message: UbxMessage) -> bytes:
    return capture(message).SerializeToString()


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 1 << _BITS:
        encoded.append(value & 0x7F | 0x80)
        value >>= _BITS
    encoded.append(value)
    return bytes(encoded)
