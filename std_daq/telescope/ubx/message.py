"""UbxMessage: a message of a receiver, with its name and its fields. Pure."""

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyubx2 import UBXReader
from pyubx2.exceptions import UBXMessageError, UBXParseError, UBXTypeError
from pyubx2.ubxtypes_core import UBX_MSGIDS

_NOT_PARSED = (
    UBXMessageError,
    UBXParseError,
    UBXTypeError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
)


@dataclass(frozen=True)
class UbxMessage:
    """A message that a receiver has sent.

    Parameters
    ----------
    raw
        All bytes of it.
    time_ns
        When it was received, in nanoseconds since 1970.
    number
        Its number among all messages since the start.
    """

    raw: bytes
    time_ns: int = 0
    number: int = 0

    @property
    def kind(self) -> tuple[int, int]:
        """Class and id."""
        return self.raw[2], self.raw[3]

    @property
    def payload(self) -> bytes:
        """What is between length and checksum."""
        return self.raw[6:-2]

    @cached_property
    def identity(self) -> str:
        """Name of the message, for example ``TIM-TP``; of an unknown one class and id: ``UBX-0D-99``."""
        return identity_of(*self.kind)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Names and values of the fields as JSON can hold them; none if the message is not known or does not fit."""
        try:
            parsed = UBXReader.parse(self.raw)
        except _NOT_PARSED:
            return {}
        return {name: _plain(value) for name, value in vars(parsed).items() if not name.startswith("_")}


def identity_of(class_id: int, message_id: int) -> str:
    """Return the name of a kind of message."""
    return str(UBX_MSGIDS.get(bytes((class_id, message_id)), f"UBX-{class_id:02X}-{message_id:02X}"))


def kind_of(identity: str) -> tuple[int, int]:
    """Return class and id of a name; raises KeyError if it is not known."""
    for key, name in UBX_MSGIDS.items():
        if name == identity:
            return key[0], key[1]
    raise KeyError(identity)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        text = value.rstrip(b"\0")
        return text.decode() if text.isascii() and text.decode().isprintable() else value.hex()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
