"""The keys of a receiver's configuration: names, numbers, and values as bytes. Pure."""

import difflib
import math
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from pyubx2.ubxtypes_configdb import UBX_CONFIG_DATABASE

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
_BIT = 1
_REALS = {4: "<f", 8: "<d"}


class KeyValueError(ValueError):
    """A key is not known, or cannot have this value."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the configuration.

    Parameters
    ----------
    number
        Number in messages.
    name
        For example ``CFG_TP_ANT_CABLEDELAY``.
    kind
        ``U`` unsigned, ``I`` signed, ``R`` real, ``L`` logical, ``E`` of an enumeration, ``X`` bits.
    """

    number: int
    name: str
    kind: str

    @property
    def n_bytes(self) -> int:
        """Bytes of a value; a bit is sent as a byte."""
        return _SIZES[self.number >> 28 & 7]

    def encode(self, value: Any) -> bytes:
        """Return a value as bytes; raises KeyValueError if it is none for this key."""
        number = _number(self, value)
        if self.kind == "R":
            try:
                return struct.pack(_REALS[self.n_bytes], number)
            except OverflowError:
                raise KeyValueError(f"{self.name}: {value!r} is too large") from None
        if number != int(number):
            raise KeyValueError(f"{self.name}: {value!r} is no whole number")
        highest = 1 if self.number >> 28 & 7 == _BIT else (1 << 8 * self.n_bytes) - 1
        lowest = 0
        if self.kind == "I":
            lowest, highest = -(highest // 2) - 1, highest // 2
        if not lowest <= number <= highest:
            raise KeyValueError(f"{self.name}: {value!r} is not between {lowest} and {highest}")
        return int(number).to_bytes(self.n_bytes, "little", signed=self.kind == "I")

    def decode(self, data: bytes) -> int | float:
        """Return the value that bytes stand for."""
        if self.kind == "R":
            value: float = struct.unpack(_REALS[self.n_bytes], data)[0]
            return value
        return int.from_bytes(data, "little", signed=self.kind == "I")


def key_of_name(name: str) -> Key:
    """Return the key of a name with ``-`` or ``_``, or of a number "0x…"; raises KeyValueError if there is none."""
    wanted = name.strip().upper().replace("-", "_")
    if wanted in UBX_CONFIG_DATABASE:
        return key_of_number(UBX_CONFIG_DATABASE[wanted][0])
    if wanted.startswith("0X"):
        try:
            number = int(wanted, 16)
        except ValueError:
            number = -1
        if number in _names():
            return key_of_number(number)
    near = difflib.get_close_matches(wanted, UBX_CONFIG_DATABASE, 1)
    raise KeyValueError(f"there is no key {name!r}" + (f"; is {near[0]} meant?" if near else ""))


def key_of_number(number: int) -> Key:
    """Return the key of a number; one that is not known is named by its number."""
    if number >> 28 & 7 not in _SIZES:
        raise KeyValueError(f"0x{number:08x} is no key: no size is known for it")
    name = _names().get(number)
    kind = "X" if name is None else UBX_CONFIG_DATABASE[name][1][0]
    return Key(number, name or f"CFG_0x{number:08x}", kind)


def all_keys() -> list[Key]:
    """Return all keys that are known."""
    return [key_of_number(number) for number in _names()]


@cache
def _names() -> dict[int, str]:
    return {number: name for name, (number, _) in UBX_CONFIG_DATABASE.items()}


def _number(key: Key, value: Any) -> int | float:
    if isinstance(value, str):
        try:
            value = float(value) if key.kind == "R" else int(value, 0)
        except ValueError:
            raise KeyValueError(f"{key.name}: {value!r} is no number") from None
    if not isinstance(value, (int, float)):
        raise KeyValueError(f"{key.name}: {value!r} is no number")
    if not math.isfinite(value):
        raise KeyValueError(f"{key.name}: {value!r} is no finite number")
    return value
