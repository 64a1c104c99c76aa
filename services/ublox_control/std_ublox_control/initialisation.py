"""Brings a chip into the state that InitF9t asks for: who is it, write the keys, read them back."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc

from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telescope.ubloxcontrol import ublox_control_pb2 as messages
from std_daq.telescope.ubx.f9t_config import F9tConfig
from std_daq.telescope.ubx.keys import Key, KeyValueError
from std_daq.telescope.ubx.message import UbxMessage, kind_of
from std_daq.telescope.ubx.settings import MAX_KEYS, VALGET, VALSET, Setting, read_answer, read_message, write_messages
from std_ublox_control.chip import Chip, ChipGoneError

_MODEL = "MOD=ZED-F9T"
_VERSION_S = 2.5
_IDENTITY_S = 3.0
_ACKNOWLEDGED_S = 2.5
_READ_S = 3.0
_SIGNAL_PAUSE_S = 0.3
_ACK, _NAK = kind_of("ACK-ACK"), kind_of("ACK-NAK")
_N_SOFTWARE_BYTES, _N_HARDWARE_BYTES, _N_EXTENSION_BYTES = 30, 10, 30
_UID_START = 4


async def initialise(chip: Chip, config: F9tConfig) -> messages.Chip:
    """Check that it is the right chip, configure it, and read everything back.

    Raises
    ------
    RefusedCallError
        A step has failed.
    """
    with _failing(f"the chip at {config.device}"):
        about = await _check_model(chip, config.device)
        await _check_uid(chip, config, about)
        await _write(chip, config.signals, config.layer_mask)
        if config.signals:
            await asyncio.sleep(_SIGNAL_PAUSE_S)
        await _write(chip, config.others, config.layer_mask)
        await _verify(chip, (*config.signals, *config.others), config.verify_layer)
    return about


async def _check_model(chip: Chip, device: str) -> messages.Chip:
    try:
        payload = (await chip.poll("MON-VER", _VERSION_S)).payload
    except TimeoutError:
        raise failed(f"nothing at {device} answers MON-VER within {_VERSION_S} s: is it a u-blox receiver?") from None
    hardware = _N_SOFTWARE_BYTES + _N_HARDWARE_BYTES
    starts = range(hardware, len(payload), _N_EXTENSION_BYTES)
    extensions = [_text(payload[start : start + _N_EXTENSION_BYTES]) for start in starts]
    model = next((one for one in extensions if one.startswith(_MODEL)), None)
    if model is None:
        raise failed(f"the receiver at {device} is no ZED-F9T: MON-VER tells {extensions}")
    return messages.Chip(
        model=model.removeprefix("MOD="),
        firmware=next((one[6:] for one in extensions if one.startswith("FWVER=")), _text(payload[:_N_SOFTWARE_BYTES])),
        hardware=_text(payload[_N_SOFTWARE_BYTES:hardware]),
        extensions=extensions,
    )


async def _check_uid(chip: Chip, config: F9tConfig, about: messages.Chip) -> None:
    try:
        answer = await chip.poll("SEC-UNIQID", _IDENTITY_S)
    except TimeoutError:
        raise failed(f"the chip at {config.device} does not answer SEC-UNIQID within {_IDENTITY_S} s") from None
    about.uid = answer.payload[_UID_START:].hex().upper()
    if about.uid != config.uid:
        raise RefusedCallError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"Initialization failed: the chip at {config.device} is {about.uid}, but f9t_uid is {config.uid}.",
        )


async def _write(chip: Chip, settings: Sequence[Setting], layer_mask: int) -> None:
    if not settings:
        return
    for number, message in enumerate(write_messages(settings, layer_mask)):
        names = [key.name for key, _ in settings[number * MAX_KEYS : (number + 1) * MAX_KEYS]]
        try:
            is_taken = await chip.ask(message, _acknowledgement, _ACKNOWLEDGED_S)
        except TimeoutError:
            raise failed(f"no answer to CFG-VALSET of {names[0]} … {names[-1]} within {_ACKNOWLEDGED_S} s") from None
        if not is_taken:
            raise failed(f"the chip refuses CFG-VALSET with one of these keys: {', '.join(names)}")


async def _verify(chip: Chip, settings: Sequence[Setting], layer: int) -> None:
    for start in range(0, len(settings), MAX_KEYS):
        piece = settings[start : start + MAX_KEYS]
        found = await read_keys(chip, [key.number for key, _ in piece], layer, 0)
        if found is None:
            raise failed(f"the chip refuses CFG-VALGET of {piece[0][0].name} … {piece[-1][0].name}")
        for key, value in piece:
            if found.get(key) != value:
                is_there = key in found
                told = f"is {key.decode(found[key])}" if is_there else "is not there"
                raise failed(f"{key.name} {told} after {key.decode(value)} has been written")


async def read_keys(chip: Chip, numbers: Sequence[int], layer: int, position: int) -> dict[Key, bytes] | None:
    """Return keys and their values, at most 64 from a position on; None if the chip refuses.

    Raises
    ------
    RefusedCallError
        There is no answer in time, or it is damaged.
    """

    def match(message: UbxMessage) -> tuple[bytes | None] | None:
        if message.kind == VALGET:
            return (message.payload,)
        return (None,) if message.kind == _NAK and message.payload == bytes(VALGET) else None

    try:
        (payload,) = await chip.ask(read_message(numbers, layer, position), match, _READ_S)
        return None if payload is None else read_answer(payload)[1]
    except TimeoutError:
        raise failed(f"no answer to CFG-VALGET within {_READ_S} s") from None
    except KeyValueError as error:
        raise failed(f"the answer to CFG-VALGET is damaged: {error}") from None


def failed(problem: str) -> RefusedCallError:
    """Return the error of a step that has failed."""
    return RefusedCallError(grpc.StatusCode.INTERNAL, f"Initialization failed: {problem}.")


@contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except ChipGoneError as error:
        raise failed(f"{what} is gone: {error}") from None


def _acknowledgement(message: UbxMessage) -> bool | None:
    is_meant = message.kind in {_ACK, _NAK} and message.payload == bytes(VALSET)
    return message.kind == _ACK if is_meant else None


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("ascii", "replace")
