"""CFG-VALSET and CFG-VALGET: writes and reads keys of the configuration. Pure."""

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum

from std_daq.telescope.ubx.framing import make_message
from std_daq.telescope.ubx.keys import Key, KeyValueError, key_of_number

VALSET = (0x06, 0x8A)
VALGET = (0x06, 0x8B)
MAX_KEYS = 64
"""Keys in a message."""
WRITE_LAYERS = {"RAM": 1, "BBR": 2, "FLASH": 4}
READ_LAYERS = {"RAM": 0, "BBR": 1, "FLASH": 2, "DEFAULT": 7}
ITEM_MASK = 0xFFFF
"""The bits of a key that tell it from the others of its group; all of them set: every key of the group."""
GROUP_MASK = 0x00FF0000
_GET_HEAD = struct.Struct("<BBH")

Setting = tuple[Key, bytes]


class Transaction(IntEnum):
    """Place of a CFG-VALSET among those that take effect together."""

    NONE = 0
    BEGIN = 1
    GO_ON = 2
    END = 3


def write_messages(settings: Sequence[Setting], layer_mask: int) -> list[bytes]:
    """Return the messages that write keys; if there are several, they take effect together."""
    pieces = [settings[start : start + MAX_KEYS] for start in range(0, len(settings), MAX_KEYS)]
    if len(pieces) == 1:
        return [_valset(pieces[0], layer_mask, Transaction.NONE)]
    last = len(pieces) - 1
    return [
        _valset(piece, layer_mask, {0: Transaction.BEGIN, last: Transaction.END}.get(index, Transaction.GO_ON))
        for index, piece in enumerate(pieces)
    ]


def read_message(numbers: Sequence[int], layer: int, position: int = 0) -> bytes:
    """Return the message that asks for keys; ``position`` is how many of those that match are left out."""
    payload = _GET_HEAD.pack(0, layer, position) + b"".join(number.to_bytes(4, "little") for number in numbers)
    return make_message(*VALGET, payload)


def read_answer(payload: bytes) -> tuple[int, dict[Key, bytes]]:
    """Return the position and the keys of an answer to CFG-VALGET; raises KeyValueError if it is damaged."""
    _, _, position = _GET_HEAD.unpack_from(payload)
    return position, dict(split_settings(payload[_GET_HEAD.size :]))


def split_settings(data: bytes) -> Iterator[Setting]:
    """Yield keys and values; raises KeyValueError if the bytes are none."""
    position = 0
    while position < len(data):
        key = key_of_number(int.from_bytes(data[position : position + 4], "little"))
        value = data[position + 4 : position + 4 + key.n_bytes]
        if len(value) < key.n_bytes:
            raise KeyValueError("the last value is cut")
        yield key, value
        position += 4 + key.n_bytes


def _valset(settings: Sequence[Setting], layer_mask: int, transaction: Transaction) -> bytes:
    version = 0 if transaction is Transaction.NONE else 1
    content = b"".join(key.number.to_bytes(4, "little") + value for key, value in settings)
    return make_message(*VALSET, bytes((version, layer_mask, transaction, 0)) + content)
