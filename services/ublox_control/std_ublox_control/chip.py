"""Chip: the receiver at the other end of a serial line; asks it, and hands its messages on."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from std_daq.telescope.ubx.framing import Framer, FramerCounters, make_message
from std_daq.telescope.ubx.message import UbxMessage, kind_of
from std_ublox_control.serial_port import SerialPort

_GIVE_UP_PIECE_S = 1.0
Answer = TypeVar("Answer")


class ChipGoneError(Exception):
    """The device is gone."""


@dataclass(eq=False)
class _Waiting(Generic[Answer]):
    match: Callable[[UbxMessage], Answer | None]
    answer: "asyncio.Future[Answer]"

    def consider(self, message: UbxMessage) -> None:
        if not self.answer.done() and (answer := self.match(message)) is not None:
            self.answer.set_result(answer)


class Chip:
    """The receiver at the other end of a serial line.

    Parameters
    ----------
    device
        The device.
    baud
        Speed of the line.
    counters
        What has come between the messages; counted on.
    publish
        Called with the bytes of each message and the time at which they were received; returns the message.

    Raises
    ------
    OSError
        The device cannot be opened.
    """

    def __init__(
        self, device: str, baud: int, counters: FramerCounters, publish: Callable[[bytes, int], UbxMessage]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._framer = Framer(counters)
        self._publish = publish
        self._waiting: set[_Waiting[Any]] = set()
        self._give_up: asyncio.TimerHandle | None = None
        self.heard_s = self._loop.time()
        self._port = SerialPort(device, baud, self._take)

    @property
    def gone(self) -> "asyncio.Future[str]":
        """Done when the device is gone; its result says why."""
        return self._port.gone

    async def ask(self, message: bytes, match: Callable[[UbxMessage], Answer | None], timeout_s: float) -> Answer:
        """Send a message, and return what ``match`` makes of the first answer for which it is not None.

        Raises
        ------
        TimeoutError
            No answer has come.
        ChipGoneError
            The device is gone.
        """
        waiting: _Waiting[Answer] = _Waiting(match, self._loop.create_future())
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    await self._port.write(message)
                except OSError as error:
                    raise ChipGoneError(error.strerror or str(error)) from None
                ends: list[asyncio.Future[Any]] = [waiting.answer, self.gone]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(waiting)
        if not waiting.answer.done():
            raise ChipGoneError(self.gone.result())
        return waiting.answer.result()

    async def poll(self, identity: str, timeout_s: float) -> UbxMessage:
        """Poll a message by its name; raises as `ask` does."""
        kind = kind_of(identity)
        return await self.ask(make_message(*kind), lambda message: message if message.kind == kind else None, timeout_s)

    def close(self) -> None:
        """Close the line."""
        if self._give_up is not None:
            self._give_up.cancel()
        self._port.close()

    def _take(self, data: bytes) -> None:
        self._hand_on(self._framer.feed(data))
        if self._give_up is None and self._framer.is_waiting:
            self._watch_piece()

    def _watch_piece(self) -> None:
        self._give_up = self._loop.call_later(_GIVE_UP_PIECE_S, self._give_up_piece, self._framer.n_taken_bytes)

    def _give_up_piece(self, begin: int) -> None:
        self._give_up = None
        if self._framer.is_waiting and self._framer.n_taken_bytes == begin:
            self._hand_on(self._framer.give_up())
        if self._framer.is_waiting:
            self._watch_piece()

    def _hand_on(self, messages: list[bytes]) -> None:
        now_ns = time.time_ns()
        for raw in messages:
            self.heard_s = self._loop.time()
            message = self._publish(raw, now_ns)
            for waiting in tuple(self._waiting):
                waiting.consider(message)
