"""AioImageStream: the images of several hosts, one after the other, for programs with asyncio."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Self

import grpc

from std_daq.telescope.client.calls import STREAM_IMAGES
from std_daq.telescope.client.host_feed import HostFeed, Wish, progress_of
from std_daq.telescope.client.hosts import Host
from std_daq.telescope.client.progress import HostProgress
from std_daq.telescope.client.turns import Turns

_DEPTH = 8


@dataclass(frozen=True, slots=True)
class OpenedHosts:
    """What a stream works with, once it is known which hosts answer.

    Parameters
    ----------
    channels
        The channel to each host that is read.
    away
        Hosts that are left out.
    """

    channels: dict[Host, Any]
    away: list[Host]


class AioImageStream:
    """An asynchronous iterator over the images of several hosts, as `ImageStream`. It may be awaited before.

    Example::

        async for image in client.stream_images(None, True, True, 0.5):
            print(image["host"], image["module_id"], image["image_array"].max(), image["skipped"])

    Attributes
    ----------
    progress
        What has come from each host, and what was skipped (`HostProgress`); also after the end.
    """

    def __init__(
        self,
        open_hosts: Callable[[], Awaitable[OpenedHosts]],
        metadata: tuple[tuple[str, str], ...],
        wish: Wish,
        *,
        wait_for_ready: bool,
        stop_event: asyncio.Event | None,
    ) -> None:
        self.progress: dict[str, HostProgress] = {}
        self._open_hosts = open_hosts
        self._merging = _Merging(metadata, wish, wait_for_ready, stop_event)
        self._is_started = False
        # The tasks hold what they work with, and not this object: so it ends with its last user.
        weakref.finalize(self, self._merging.end).atexit = False

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            await self._start()
            return await self._merging.take()
        except BaseException:
            await self.aclose()
            raise

    async def __aenter__(self) -> Self:
        return await self._start()

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream; whoever waits for an image is told that there is none."""
        self._merging.end()
        await self._merging.join()

    async def _start(self) -> Self:
        if not self._is_started:
            opened = await self._open_hosts()
            feeds = {HostFeed(host, self._merging.wish): channel for host, channel in opened.channels.items()}
            self.progress |= progress_of(feeds, opened.away)
            self._merging.start(feeds)
            self._is_started = True
        return self


class _Merging:
    """One task for each host reads its stream; all put what they read into `Turns`."""

    def __init__(
        self,
        metadata: tuple[tuple[str, str], ...],
        wish: Wish,
        wait_for_ready: bool,
        stop_event: asyncio.Event | None,
    ) -> None:
        self.wish = wish
        self._metadata = metadata
        self._wait_for_ready = wait_for_ready
        self._stop_event = stop_event
        self._is_ended = False
        self._changed = asyncio.Condition()
        self._turns: Turns[Any] = Turns((), _DEPTH)
        self._feeds: list[HostFeed] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._n_running = 0
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, feeds: dict[HostFeed, Any]) -> None:
        """Begin to read."""
        self._loop = asyncio.get_running_loop()
        self._feeds = list(feeds)
        self._turns = Turns([feed.host.name for feed in feeds], _DEPTH)
        self._n_running = len(feeds)
        self._tasks = [asyncio.create_task(self._run(feed, channel)) for feed, channel in feeds.items()]
        if self._stop_event is not None:
            self._tasks.append(asyncio.create_task(self._heed(self._stop_event)))

    async def take(self) -> Any:
        """Return the next image; raises StopAsyncIteration at the end, or the error of a host if no other is left."""
        async with self._changed:
            while not self._is_ended:
                item = self._turns.take()
                if item is not None:
                    self._changed.notify_all()
                    return item
                if not self._n_running:
                    self._raise_failure()
                    break
                await self._changed.wait()
        raise StopAsyncIteration

    def end(self) -> None:
        """End all streams, without waiting for it; whoever collects garbage may be another thread."""
        self._is_ended = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    async def join(self) -> None:
        """Wait until the streams have ended."""
        self._cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._changed:
            self._changed.notify_all()

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _heed(self, stop_event: asyncio.Event) -> None:
        await stop_event.wait()
        async with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        error = self._failure or next((feed.error for feed in self._feeds if feed.error is not None), None)
        if error is not None:
            raise error

    async def _run(self, feed: HostFeed, channel: Any) -> None:
        try:
            while (delay_s := await self._read(feed, channel)) is not None:
                await asyncio.sleep(min(delay_s, self.wish.rest_s()))
        except Exception as failure:  # noqa: BLE001 - raised again where images are taken
            self._failure = failure
        self._n_running -= 1
        async with self._changed:
            self._changed.notify_all()

    async def _read(self, feed: HostFeed, channel: Any) -> float | None:
        """Read a stream to its end; returns after how many seconds to open it again, None for never."""
        name = feed.host.name
        feed.begin()
        call = STREAM_IMAGES.on(channel)(
            self.wish.request,
            timeout=self.wish.rest_s(),
            metadata=self._metadata,
            wait_for_ready=self._wait_for_ready,
        )
        try:
            async for response in call:
                item = feed.take(response)
                if item is not None:
                    async with self._changed:
                        await self._changed.wait_for(lambda: not self._turns.is_full(name))
                        self._turns.put(name, item)
                        self._changed.notify_all()
        except grpc.RpcError as error:
            return feed.delay_after(error.code(), error.details() or "")
        finally:
            call.cancel()
        return feed.delay_after(grpc.StatusCode.OK, "")
