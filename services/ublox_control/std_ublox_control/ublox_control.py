"""UbloxControl: the service, with its event loop and its parts."""

import asyncio
from pathlib import Path
from typing import Any

from std_daq.errors import ConfigError
from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.grpc_server.server import GrpcServer
from std_daq.telemetry.logs import ConditionLog
from std_daq.telescope.ublox_config import UbloxControlConfig, UbloxStartConfig
from std_daq.telescope.ubloxcontrol.description import POOL, SERVICE_NAME
from std_daq.telescope.ubx.f9t_config import parse_f9t_config, read_f9t_file
from std_daq.telescope.ubx.keys import KeyValueError
from std_ublox_control.message_hub import MessageHub
from std_ublox_control.metrics import UbloxControlMetrics
from std_ublox_control.timing_receiver import TimingReceiver
from std_ublox_control.ublox_service import UbloxService

_STEP_S = 0.1
_RETRY_START_S = 2.0
_GRACE_S = 1.0


class UbloxControl:
    """The service: everything happens in the event loop, which each `step` runs for a moment.

    Parameters
    ----------
    config
        The configuration.
    folder
        Folder of the configuration, to which relative paths refer.
    metrics
        Metrics of the service.

    Raises
    ------
    PortError
        An address cannot be used.
    ConfigError
        A file that the configuration names is missing or does not fit.
    """

    def __init__(self, config: UbloxControlConfig, folder: Path, metrics: UbloxControlMetrics) -> None:
        self._config = config
        self._folder = folder
        self._metrics = metrics
        self._at_start = None if config.start is None else _document(config.start, folder)
        self._loop = asyncio.new_event_loop()
        self._starting: asyncio.Task[None] | None = None
        self._is_built = False
        self._conditions = ConditionLog(period_s=60.0)
        try:
            self._loop.run_until_complete(self._open())
        except BaseException:
            self.close()
            raise

    @property
    def is_ready(self) -> bool:
        """Whether calls are answered and, if there is a section ``start``, whether the receiver is read."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """What the service waits for; None if it is ready."""
        if self._receiver.problem is not None:
            return self._receiver.problem
        if self._at_start is None or self._receiver.config is not None:
            return None
        return "the receiver cannot be initialised yet: see start_failed in the log"

    def step(self) -> None:
        """Serve for 0.1 s."""
        self._loop.run_until_complete(asyncio.sleep(_STEP_S))
        self._metrics.update(self._hub, self._receiver.counters, self._receiver.n_interruptions)

    def close(self) -> None:
        """End all streams with CANCELLED, and close the serial line."""
        self._loop.run_until_complete(self._close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _open(self) -> None:
        config = self._config
        server = GrpcServer(config, self._folder, SERVICE_NAME, POOL)
        self._server = server
        self._hub = MessageHub(config.max_streams)
        self._receiver = TimingReceiver(self._hub, config.silent_timeout_s, server.show_configuring)
        self._is_built = True
        await server.open(UbloxService(self._receiver, self._hub, config.max_queue).handler())
        if self._at_start is not None:
            self._starting = asyncio.create_task(self._start(self._at_start))

    async def _close(self) -> None:
        if not self._is_built:
            return
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await asyncio.gather(self._receiver.close(), self._server.close(_GRACE_S))

    async def _start(self, document: dict[str, Any]) -> None:
        """Do what InitF9t would be told; try again until it works, or until a client has done it."""
        while self._receiver.config is None:
            try:
                await self._receiver.init(document, force=False)
            except RefusedCallError as refusal:
                self._conditions.warning("start_failed", problem=refusal.text, again_in_s=_RETRY_START_S)
                await asyncio.sleep(_RETRY_START_S)


def _document(start: UbloxStartConfig, folder: Path) -> dict[str, Any]:
    """Return what InitF9t would be told; raises ConfigError if that is wrong."""
    path = folder / start.f9t_config
    document = read_f9t_file(path, start.f9t_uid)
    if start.device is not None:
        document["device"] = str(folder / start.device)
    try:
        parse_f9t_config(document)
    except KeyValueError as error:
        raise ConfigError(str(error), file=path) from None
    return document
