"""TimingReceiver: the chip that is read, InitF9t, which exchanges it, and its return after it was gone."""

import asyncio
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_daq.telescope.ubloxcontrol import ublox_control_pb2 as messages
from std_daq.telescope.ubx.f9t_config import F9tConfig, parse_f9t_config
from std_daq.telescope.ubx.framing import FramerCounters
from std_daq.telescope.ubx.keys import KeyValueError
from std_ublox_control.chip import Chip, ChipGoneError
from std_ublox_control.initialisation import initialise
from std_ublox_control.message_hub import MessageHub, MessageStream

_OPEN_AGAIN_S = 1.0


class TimingReceiver:
    """The chip that is read.

    Parameters
    ----------
    hub
        Takes its messages.
    silent_timeout_s
        A chip that sends nothing and answers no poll for so long is gone.
    show_configuring
        Called when an initialisation begins and ends.
    """

    def __init__(
        self, hub: MessageHub, silent_timeout_s: float, show_configuring: Callable[[bool], Awaitable[None]]
    ) -> None:
        self._hub = hub
        self._silent_timeout_s = silent_timeout_s
        self._show_configuring = show_configuring
        self._one_at_a_time = asyncio.Lock()
        self._log = get_logger()
        self._conditions = ConditionLog(period_s=60.0)
        self._chip: Chip | None = None
        self._watching: asyncio.Task[None] | None = None
        self._inits: set[asyncio.Task[messages.Chip]] = set()
        self.counters = FramerCounters()
        self.config: F9tConfig | None = None
        self.problem: str | None = None
        self.n_interruptions = 0
        self.is_configuring = False
        self.is_ending = False

    @property
    def chip(self) -> Chip:
        """The chip that is read; raises RefusedCallError if none is."""
        if self.is_ending:
            raise RefusedCallError(grpc.StatusCode.CANCELLED, "Server is shutting down.")
        if self.is_configuring:
            raise RefusedCallError(grpc.StatusCode.UNAVAILABLE, "Server is being configured, please try again soon.")
        if self.problem is not None:
            raise RefusedCallError(grpc.StatusCode.UNAVAILABLE, self.problem)
        if self._chip is None or not self._hub.is_open:
            raise RefusedCallError(grpc.StatusCode.FAILED_PRECONDITION, "F9T is not initialized or I/O is not running.")
        return self._chip

    async def init(self, document: dict[str, Any], *, force: bool) -> messages.Chip:
        """Configure a chip, and read it from now on; goes on to the end even if the caller does not wait.

        Raises
        ------
        RefusedCallError
            That is not possible. The chip before it is read again, if there was one.
        """
        task = asyncio.create_task(self._init(document, force=force))
        self._inits.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End all streams, and close the line."""
        self.is_ending = True
        self._hub.close(grpc.StatusCode.CANCELLED, lambda stream: f"server shutdown_event set for ({stream.peer})")
        for task in self._inits:
            task.cancel()
        await asyncio.gather(*self._inits, return_exceptions=True)
        await self._stop()

    def _forget(self, task: "asyncio.Task[messages.Chip]") -> None:
        self._inits.discard(task)
        if not task.cancelled():
            task.exception()

    async def _init(self, document: dict[str, Any], *, force: bool) -> messages.Chip:
        async with self._one_at_a_time:
            if self.is_ending:
                raise RefusedCallError(grpc.StatusCode.CANCELLED, "Server is shutting down.")
            if len(self._hub) and not force:
                peers = ", ".join(stream.peer for stream in self._hub)
                raise RefusedCallError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Cannot modify server state: {len(self._hub)} clients are streaming: [{peers}]",
                )
            config = _checked(document)
            self.is_configuring = True
            await self._show_configuring(True)
            try:
                return await self._replace(config)
            finally:
                self.is_configuring = False
                await self._show_configuring(False)

    async def _replace(self, config: F9tConfig) -> messages.Chip:
        previous = self.config
        self._hub.close(grpc.StatusCode.CANCELLED, _replaced_text)
        await self._stop()
        try:
            about = await self._connect(config)
        except RefusedCallError as refusal:
            self._log.warning("init_failed", problem=refusal.text, goes_on_as_before=previous is not None)
            if previous is not None:
                self.config = previous
                self.problem = f"The chip at {previous.device} is being initialised again."
                self._watching = asyncio.create_task(self._watch(previous))
            raise
        self.config = config
        self._watching = asyncio.create_task(self._watch(config))
        return about

    async def _connect(self, config: F9tConfig) -> messages.Chip:
        try:
            chip = Chip(config.device, config.baud, self.counters, self._hub.publish)
        except OSError as error:
            raise RefusedCallError(
                grpc.StatusCode.UNAVAILABLE, f"Could not connect to device {config.device}: {error.strerror}."
            ) from None
        try:
            about = await initialise(chip, config)
        except BaseException:
            chip.close()
            raise
        self._chip, self.problem = chip, None
        self._hub.open()
        self._log.info("initialised", device=config.device, uid=about.uid, firmware=about.firmware)
        return about

    async def _stop(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        self.config = self.problem = None
        self._disconnect()

    def _disconnect(self) -> None:
        chip, self._chip = self._chip, None
        if chip is not None:
            chip.close()

    async def _watch(self, config: F9tConfig) -> None:
        """Tell the clients when the chip is gone, and initialise it when it is there again."""
        while True:
            if self._chip is not None:
                reason = await self._why_gone(self._chip)
                self.n_interruptions += 1
                self.problem = f"The chip at {config.device} is gone: {reason}."
                self._log.warning("receiver_gone", device=config.device, reason=reason)
                self._hub.close(grpc.StatusCode.UNAVAILABLE, lambda _: str(self.problem))
                self._disconnect()
            try:
                _check_device(config.device)
                await self._connect(config)
            except RefusedCallError as refusal:
                self.problem = f"The chip at {config.device} is gone: {refusal.text}"
                self._conditions.warning("receiver_gone", device=config.device, problem=refusal.text)
                await asyncio.sleep(_OPEN_AGAIN_S)

    async def _why_gone(self, chip: Chip) -> str:
        """Wait until the chip is gone; one that is silent is asked, for it may have nothing to send."""
        loop = asyncio.get_running_loop()
        half_s = self._silent_timeout_s / 2
        while True:
            rest_s = chip.heard_s + half_s - loop.time()
            await asyncio.wait([chip.gone], timeout=max(0.0, rest_s))
            if chip.gone.done():
                return chip.gone.result()
            if loop.time() < chip.heard_s + half_s:
                continue
            try:
                await chip.poll("MON-VER", half_s)
            except TimeoutError:
                return f"it has sent nothing for {self._silent_timeout_s:g} s, and does not answer"
            except ChipGoneError as error:
                return str(error)


def _checked(document: dict[str, Any]) -> F9tConfig:
    try:
        config = parse_f9t_config(document)
    except KeyValueError as error:
        raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
    _check_device(config.device)
    return config


def _check_device(device: str) -> None:
    try:
        is_device = stat.S_ISCHR(Path(device).stat().st_mode)
    except (OSError, ValueError):
        raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, f"Device path {device} does not exist.") from None
    if not is_device:
        raise RefusedCallError(
            grpc.StatusCode.INVALID_ARGUMENT, f"Device path {device} is no character device, as a serial line is."
        )


def _replaced_text(stream: MessageStream) -> str:
    return f"cancel_reader_event set for ({stream.peer}): the receiver is initialised again by InitF9t"
