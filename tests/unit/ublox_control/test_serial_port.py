"""A serial line in the event loop: long messages go out whole and in order, and one that is gone is told."""

import asyncio
import os
import tty
from contextlib import suppress

import pytest

from std_ublox_control.serial_port import SerialPort

N_BYTES = 100_000  # far more than a line takes at once


def test_messages_of_several_tasks_go_out_whole_although_the_line_is_full() -> None:
    async def write_all(own_end: int, their_end: int) -> bytes:
        port = SerialPort(os.ttyname(their_end), 115200, lambda data: None)
        writing = asyncio.gather(*(port.write(bytes([number]) * N_BYTES) for number in range(3)))
        received = bytearray()
        while len(received) < 3 * N_BYTES:
            with suppress(BlockingIOError):
                received += os.read(own_end, 65536)
            await asyncio.sleep(0)
        await writing
        port.close()
        with pytest.raises(OSError, match="closed"):
            await port.write(b"x")
        return bytes(received)

    own_end, their_end = os.openpty()
    try:
        tty.setraw(their_end)
        os.set_blocking(own_end, False)
        received = asyncio.run(write_all(own_end, their_end))
    finally:
        os.close(own_end)
        os.close(their_end)
    assert received == b"".join(bytes([number]) * N_BYTES for number in range(3))


def test_line_that_is_gone_ends_reading_and_a_writing_that_waits() -> None:
    async def unplug() -> str:
        own_end, their_end = os.openpty()
        tty.setraw(their_end)
        port = SerialPort(os.ttyname(their_end), 115200, lambda data: None)
        os.close(their_end)
        writing = asyncio.create_task(port.write(bytes(N_BYTES)))
        await asyncio.sleep(0)
        os.close(own_end)
        reason = await asyncio.wait_for(port.gone, 5)
        with pytest.raises(OSError):  # noqa: PT011 - which one is a matter of the kernel
            await asyncio.wait_for(writing, 5)
        port.close()
        return reason

    assert asyncio.run(unplug())
