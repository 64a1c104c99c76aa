"""CallThread: calls in a thread that nobody has to wait for."""

import asyncio
import threading

import pytest

from std_live_view.call_thread import CallThread, within


def test_call_returns_or_raises_where_it_is_waited_for() -> None:
    async def use() -> tuple[int, str]:
        thread = CallThread("test")
        name = await thread.run(lambda: threading.current_thread().name)
        with pytest.raises(OSError, match="gone"):
            await thread.run(_raise)
        number = await thread.run(lambda: 3)
        await thread.close()
        return number, name

    assert asyncio.run(use()) == (3, "test")


def test_call_that_does_not_return_is_left_behind() -> None:
    may_end = threading.Event()

    async def use() -> None:
        with pytest.raises(TimeoutError):
            await within(0.01, "test", may_end.wait)

    asyncio.run(use())
    may_end.set()
    for thread in threading.enumerate():
        if thread.name == "test":
            thread.join()


def _raise() -> None:
    raise OSError("gone")
