"""UbloxControl: the service, with its event loop and its parts."""

import asyncio
from pathlib import Path
from typing import Any

from std_daq.errors import ConfigError
from std_daq.grpc_server.event_loop_service import GRACE_S, EventLoopService
from std_daq.grpc_server.server import GrpcServer
from std_daq.telescope.ublox_config import UbloxControlConfig, UbloxStartConfig
from std_daq.telescope.ubloxcontrol.description import POOL, SERVICE_NAME
from std_daq.telescope.ubx.f9t_config import parse_f9t_config, read_f9t_file
from std_daq.telescope.ubx.keys import KeyValueError
from std_ublox_control.message_hub import MessageHub
from std_ublox_control.metrics import UbloxControlMetrics
from std_ublox_control.timing_receiver import TimingReceiver
from std_ublox_control.ublox_service import UbloxService


class UbloxControl(EventLoopService):
    """The service.

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
        self._at_start = None if config.start is None else document_of(config.start, folder)
        self._config = config
        self._folder = folder
        self._metrics = metrics
        super().__init__()
        self._begin()

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

    def _after_step(self) -> None:
        self._metrics.update(self._hub, self._receiver.counters, self._receiver.n_interruptions)

    async def _open(self) -> None:
        config = self._config
        server = GrpcServer(config, self._folder, SERVICE_NAME, POOL, n_streams=config.max_streams)
        self._server = server
        self._hub = MessageHub(config.max_streams)
        self._receiver = TimingReceiver(self._hub, config.silent_timeout_s, server.show_configuring)
        self._note_built()
        await server.open(UbloxService(self._receiver, self._hub, config.max_queue).handler())
        if self._at_start is not None:
            self._start_later(self._attempt_start)

    async def _close(self) -> None:
        await asyncio.gather(self._receiver.close(), self._server.close(GRACE_S))

    async def _attempt_start(self) -> str:
        """Do what InitF9t would be told, unless a client has done it."""
        if self._receiver.config is None and self._at_start is not None:
            await self._receiver.init(self._at_start, force=False)
        return ""


def document_of(start: UbloxStartConfig, folder: Path) -> dict[str, Any]:
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
