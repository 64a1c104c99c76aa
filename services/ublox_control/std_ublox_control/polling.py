"""PollMessage: asks the receiver for messages, and for keys of its configuration."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import grpc
from pyubx2.ubxtypes_poll import UBX_PAYLOADS_POLL

from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telescope.ubloxcontrol import ublox_control_pb2 as messages
from std_daq.telescope.ubx.keys import Key, KeyValueError, all_keys
from std_daq.telescope.ubx.message import UbxMessage, identity_of
from std_daq.telescope.ubx.settings import (
    GROUP_MASK,
    ITEM_MASK,
    MAX_KEYS,
    READ_LAYERS,
    VALGET,
    read_answer,
    read_message,
)
from std_ublox_control.answers import capture
from std_ublox_control.chip import Chip
from std_ublox_control.patterns import Patterns

_ANSWER_S = 1.0
_AT_ONCE = 8
_NAK = "ACK-NAK"
_KEYS = identity_of(*VALGET)
_CLASSES = ("MON-", "NAV-", "NAV2-", "RXM-", "SEC-", "TIM-", "LOG-INFO", "UPD-SOS")


@dataclass(slots=True)
class Polled:
    """What the receiver has answered.

    Parameters
    ----------
    packets
        Messages, each with what it adds to the Struct that clients of 2026 expect.
    unanswered
        Names of messages, and groups of keys, that it has not answered.
    """

    packets: list[tuple[messages.CaptureUbloxResponse, dict[str, Any]]] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


async def poll(chip: Chip, patterns: Sequence[str], configured: Sequence[Key]) -> Polled:
    """Ask for all messages and keys that patterns match.

    Without patterns these are all messages. ``CFG-VALGET`` stands for the keys that InitF9t has written. Patterns that
    begin with CFG also match names of keys, as in ``CFG_TP_.*`` or ``CFG-TP-.*``.

    Raises
    ------
    RefusedCallError
        A pattern is wrong, or nothing fits.
    ChipGoneError
        The device is gone.
    """
    wanted = Patterns(patterns)
    identities = [identity for identity in pollable() if wanted.matches(identity)]
    of_keys = [pattern for pattern in patterns if pattern.lstrip("^(").startswith("CFG")]
    keys = _wanted_keys(Patterns(of_keys)) if of_keys else set()
    if not patterns or wanted.matches(_KEYS):
        keys |= set(configured)
    if not identities and not keys:
        raise RefusedCallError(
            grpc.StatusCode.INVALID_ARGUMENT, f"Nothing that can be polled fits the patterns {list(patterns)}."
        )
    polled = Polled()
    for start in range(0, len(identities), _AT_ONCE):
        piece = identities[start : start + _AT_ONCE]
        for identity, message in zip(piece, await asyncio.gather(*(_ask(chip, one) for one in piece)), strict=True):
            if message is None:
                polled.unanswered.append(identity)
            else:
                polled.packets.append((capture(message), {identity: message.fields}))
    for group in sorted({key.number & GROUP_MASK for key in keys}):
        await _read_group(chip, group, keys, polled)
    return polled


@cache
def pollable() -> tuple[str, ...]:
    """Return the names of the messages that are polled without further data."""
    return tuple(
        identity for identity, fields in UBX_PAYLOADS_POLL.items() if not fields and identity.startswith(_CLASSES)
    )


async def _ask(chip: Chip, identity: str) -> UbxMessage | None:
    try:
        return await chip.poll(identity, _ANSWER_S)
    except TimeoutError:
        return None


async def _read_group(chip: Chip, group: int, keys: set[Key], polled: Polled) -> None:
    """Read all keys of a group, for a receiver refuses to tell any key if it does not know one of them."""
    position = 0
    while True:
        message = await _ask_group(chip, group, position)
        try:
            if message is None or message.identity == _NAK:
                raise KeyValueError
            found = read_answer(message.payload)[1]
        except KeyValueError:
            polled.unanswered += sorted(key.name for key in keys if key.number & GROUP_MASK == group)
            return
        values = {key.name: key.decode(value) for key, value in found.items() if key in keys}
        if values:
            polled.packets.append((capture(message, values), values))
        position += MAX_KEYS
        if len(found) < MAX_KEYS:
            return


async def _ask_group(chip: Chip, group: int, position: int) -> UbxMessage | None:
    def match(message: UbxMessage) -> UbxMessage | None:
        is_refused = message.identity == _NAK and message.payload == bytes(VALGET)
        return message if message.kind == VALGET or is_refused else None

    try:
        return await chip.ask(read_message([group | ITEM_MASK], READ_LAYERS["RAM"], position), match, _ANSWER_S)
    except TimeoutError:
        return None


def _wanted_keys(patterns: Patterns) -> set[Key]:
    """Return the keys whose name a pattern matches: ``CFG_TP_TP1_ENA`` or, as in the manual, ``CFG-TP-TP1_ENA``."""
    return {key for key in all_keys() if patterns.matches(key.name, key.name.replace("_", "-", 2))}
