"""HpIo: the sources that are open, and InitHpIo, which exchanges them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import grpc

from std_daq.errors import StdDaqError
from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telemetry.logs import get_logger
from std_daq.telescope.config import LiveViewConfig
from std_live_view.acquisition import Acquisition, Setup
from std_live_view.frame_hub import FrameHub
from std_live_view.sources.source import Source
from std_live_view.streams import Stream, Streams

_STOP_WITHIN_S = 2.0


class HpIo:
    """The sources that are open.

    Parameters
    ----------
    config
        Time within which sources have to be ready.
    acquisition
        What is checked and prepared before.
    hub
        Takes the frames of the sources.
    streams
        The clients, whose streams end when the sources are exchanged.
    make_sources
        Returns the sources of a setup.
    show_configuring
        Called when the exchange begins and ends.
    """

    def __init__(
        self,
        config: LiveViewConfig,
        acquisition: Acquisition,
        hub: FrameHub,
        streams: Streams,
        make_sources: Callable[[Setup], Sequence[Source]],
        show_configuring: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._config = config
        self._acquisition = acquisition
        self._hub = hub
        self._streams = streams
        self._make_sources = make_sources
        self._show_configuring = show_configuring
        self._one_at_a_time = asyncio.Lock()
        self._tasks: dict[asyncio.Task[None], Source] = {}
        self._exchanges: set[asyncio.Task[str]] = set()
        self._log = get_logger()
        self.sources: Sequence[Source] = ()
        self.setup: Setup | None = None
        self.is_configuring = False
        self.is_ending = False

    @property
    def is_valid(self) -> bool:
        """Whether sources are open."""
        return self.setup is not None and not self.is_configuring

    async def init(self, setup: Setup, *, force: bool) -> str:
        """Exchange the sources; returns why that failed, or an empty text.

        It is carried out even if its caller goes away meanwhile.

        Raises
        ------
        RefusedCallError
            Nothing was changed: the request is wrong, or clients are streaming and it is not forced.
        """
        await self._acquisition.check(setup)
        exchange = asyncio.create_task(self._exchange(setup, force=force))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)
        exchange.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard, if nobody else is left
        return await asyncio.shield(exchange)

    async def begin(self, setup: Setup) -> None:
        """Open the sources of a setup without preparing it, as they may be there before anybody calls InitHpIo."""
        await self._start(setup)

    async def close(self) -> None:
        """Close the sources; a later InitHpIo is refused."""
        self.is_ending = True
        for exchange in self._exchanges:
            exchange.cancel()
        await asyncio.gather(*self._exchanges, return_exceptions=True)
        await self._stop()

    async def _exchange(self, setup: Setup, *, force: bool) -> str:
        async with self._one_at_a_time:
            if self.is_ending:
                raise RefusedCallError(grpc.StatusCode.CANCELLED, "Server is shutting down.")
            if len(self._streams) and not force:
                peers = ", ".join(stream.peer for stream in self._streams)
                raise RefusedCallError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Cannot modify server state: {len(self._streams)} clients are streaming: [{peers}]",
                )
            self.is_configuring = True
            await self._show_configuring(True)
            try:
                self._streams.end_all(_cancelled_text)
                return await self._replace(setup, force=force)
            finally:
                self.is_configuring = False
                await self._show_configuring(False)

    async def _replace(self, setup: Setup, *, force: bool) -> str:
        previous = self.setup
        await self._stop()
        prepared = await self._acquisition.prepare(setup, force=force)
        problem = prepared.problem
        if prepared.has_changed or not problem:
            reasons = (problem, await self._start(setup))
            problem = "; ".join(reason for reason in reasons if reason)
        if self.setup is None and previous is not None:
            again = await self._start(previous)
            problem += f"; the sources before it could not be started again: {again}" if again else ""
        if problem:
            self._log.warning("init_failed", problem=problem, goes_on_as_before=self.setup is not None)
        else:
            self._log.info("initialised", sources=[source.name for source in self.sources], interval_s=setup.interval_s)
        return problem

    async def _start(self, setup: Setup) -> str:
        """Open the sources of a setup; returns why that failed, and then none is open."""
        self._hub.begin(setup.module_ids)
        try:
            self.sources = self._make_sources(setup)
            async with asyncio.timeout(self._config.init_timeout_s):
                for source in self.sources:
                    await source.open()
        except TimeoutError:
            problem = f"not all sources were ready within {self._config.init_timeout_s:g} s"
        except (StdDaqError, OSError) as error:
            problem = str(error)
        except BaseException:
            await self._stop()
            raise
        else:
            self._tasks = {asyncio.create_task(source.run()): source for source in self.sources}
            for task in self._tasks:
                task.add_done_callback(self._note_end)
            self.setup = setup
            return ""
        await self._stop()
        return problem

    async def _stop(self) -> None:
        self.setup = None
        tasks, self._tasks = self._tasks, {}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_WITHIN_S)
        sources, self.sources = self.sources, ()
        for source in reversed(sources):
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(source.close(), _STOP_WITHIN_S)

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        source = self._tasks.get(task)
        if source is None or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            source.state.problem = f"it has ended: {error}"
            self._log.error("source_ended", source=source.name, error=repr(error))


def _cancelled_text(stream: Stream) -> str:
    return f"cancel_reader_event set for ({stream.peer}): the sources are exchanged by InitHpIo"
