"""ImageStream: the images of several hosts, one after the other, for programs without asyncio."""

import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any, Protocol, Self

import grpc

from std_daq.telescope.client.calls import STREAM_IMAGES
from std_daq.telescope.client.host_feed import HostFeed, Wish, progress_of
from std_daq.telescope.client.hosts import Host
from std_daq.telescope.client.turns import Turns

_DEPTH = 8
_LOOK_AT_STOP_S = 0.1


class Stop(Protocol):
    """What ends a stream from outside, as a threading.Event."""

    def is_set(self) -> bool:
        """Return whether the stream is to end."""


class ImageStream:
    """An iterator over the images of several hosts, of each host in turn. A host that is slow or dead delays no other.

    It ends when all hosts have ended the stream, when `close` is called from any thread, or when the stop event of the
    client is set. A host that was ended by an error is left out; the error is raised when no other host is left.

    Example::

        with client.stream_images(None, True, True, 0.5) as images:
            for image in images:
                print(image["host"], image["module_id"], image["image_array"].max(), image["skipped"])
        print(images.progress)

    Attributes
    ----------
    progress
        What has come from each host, and what was skipped (`HostProgress`); also after the end.
    """

    def __init__(
        self,
        feeds: Sequence[HostFeed],
        channels: dict[str, Any],
        metadata: tuple[tuple[str, str], ...],
        wish: Wish,
        *,
        away: Sequence[Host],
        wait_for_ready: bool,
        stop_event: Stop | None,
    ) -> None:
        self.progress = progress_of(feeds, away)
        self._merging = _Merging(feeds, channels, metadata, wish, wait_for_ready, stop_event)
        # The threads hold what they work with, and not this object: so it ends with its last user.
        self._finalizer = weakref.finalize(self, self._merging.end)
        self._merging.start()

    def close(self) -> None:
        """End the stream; whoever waits for an image is told that there is none. May be called from any thread."""
        self._finalizer()
        self._merging.join()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self._take(None)

    def poll(self, timeout: float) -> Any:
        """Return the next image, or None if none comes within ``timeout`` seconds; ends as an iteration does.

        For programs that have something else to do meanwhile.
        """
        return self._take(timeout)

    def _take(self, timeout_s: float | None) -> Any:
        try:
            return self._merging.take(timeout_s)
        except BaseException:
            if self._merging.is_over:
                self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Merging:
    """One thread for each host reads its stream; all put what they read into `Turns`."""

    def __init__(
        self,
        feeds: Sequence[HostFeed],
        channels: dict[str, Any],
        metadata: tuple[tuple[str, str], ...],
        wish: Wish,
        wait_for_ready: bool,
        stop_event: Stop | None,
    ) -> None:
        self._feeds = feeds
        self._channels = channels
        self._metadata = metadata
        self._wish = wish
        self._wait_for_ready = wait_for_ready
        self._stop_event = stop_event
        self._changed = threading.Condition()
        self._turns: Turns[Any] = Turns([feed.host.name for feed in feeds], _DEPTH)
        self._calls: dict[str, Any] = {}
        self._is_closed = False
        self._n_running = len(feeds)
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(feed,), name=f"images of {feed.host.name}", daemon=True)
            for feed in feeds
        ]

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._is_closed or self._is_told_to_stop or not self._n_running

    @property
    def _is_told_to_stop(self) -> bool:
        return self._stop_event is not None and self._stop_event.is_set()

    def start(self) -> None:
        """Begin to read."""
        for thread in self._threads:
            thread.start()

    def take(self, timeout_s: float | None) -> Any:
        """Return the next image, or None after a while; raises StopIteration, or a host's error if no other is left."""
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not (self._is_closed or self._is_told_to_stop):
                item = self._turns.take()
                if item is not None:
                    self._changed.notify_all()
                    return item
                if not self._n_running:
                    self._raise_failure()
                    break
                rest_s = None if end_s is None else end_s - time.monotonic()
                if rest_s is not None and rest_s <= 0:
                    return None
                looks_s = None if self._stop_event is None else _LOOK_AT_STOP_S
                self._changed.wait(min((one for one in (rest_s, looks_s) if one is not None), default=None))
            raise StopIteration

    def end(self) -> None:
        """End all streams, without waiting for it: whoever collects garbage may hold the lock of another."""
        with self._changed:
            self._is_closed = True
            calls = list(self._calls.values())
            self._changed.notify_all()
        for call in calls:
            call.cancel()

    def join(self) -> None:
        """Wait until the streams have ended."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        error = next((feed.error for feed in self._feeds if feed.error is not None), None)
        if error is not None:
            for feed in self._feeds:
                feed.error = None  # told once
            raise error

    def _run(self, feed: HostFeed) -> None:
        try:
            while (delay_s := self._read(feed)) is not None and not self._is_closed:
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closed, min(delay_s, self._wish.rest_s()))
        except Exception as failure:  # noqa: BLE001 - raised again where images are taken
            self._failure = failure
        finally:
            with self._changed:
                self._n_running -= 1
                self._changed.notify_all()

    def _read(self, feed: HostFeed) -> float | None:
        """Read a stream to its end; returns after how many seconds to open it again, None for never."""
        name = feed.host.name
        feed.begin()
        with self._changed:
            if self._is_closed:
                return None
            self._calls[name] = call = STREAM_IMAGES.on(self._channels[name])(
                self._wish.request,
                timeout=self._wish.rest_s(),
                metadata=self._metadata,
                wait_for_ready=self._wait_for_ready,
            )
        try:
            for response in call:
                item = feed.take(response)
                if item is not None and not self._put(name, item):
                    return None
        except grpc.RpcError as error:
            if self._is_closed:
                return None
            return feed.delay_after(error.code(), error.details() or "")
        finally:
            call.cancel()
        return feed.delay_after(grpc.StatusCode.OK, "")

    def _put(self, name: str, item: Any) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or not self._turns.is_full(name))
            if self._is_closed:
                return False
            self._turns.put(name, item)
            self._changed.notify_all()
            return True
