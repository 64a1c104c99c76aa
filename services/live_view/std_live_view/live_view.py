"""LiveViewService: the service, with its event loop and its parts."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from std_daq.grpc_server.event_loop_service import GRACE_S, EventLoopService
from std_daq.grpc_server.server import GrpcServer
from std_daq.telescope.config import LiveViewConfig, StartConfig, UnixSocketsConfig
from std_daq.telescope.daqdata.description import POOL
from std_live_view.acquisition import Acquisition, LocalAcquisition, Setup
from std_live_view.daq_data_service import SERVICE_NAME, DaqDataService
from std_live_view.edges import Edges, edges_of
from std_live_view.frame_hub import FrameHub
from std_live_view.hp_io import HpIo
from std_live_view.metrics import LiveViewMetrics
from std_live_view.source_watch import SourceWatch
from std_live_view.sources.edge_source import EdgeSource
from std_live_view.sources.image_buffer_source import ImageBufferSource
from std_live_view.sources.run_directory_source import RunDirectorySource
from std_live_view.sources.simulation import FileWay, Simulation, SocketWay, UploadWay, Way
from std_live_view.sources.socket_source import SocketSource
from std_live_view.sources.source import Source
from std_live_view.streams import Stream, Streams


class LiveViewService(EventLoopService):
    """The service.

    Parameters
    ----------
    config
        The configuration.
    folder
        Folder of the configuration, to which relative paths refer.
    metrics
        Metrics of the live view.

    Raises
    ------
    PortError
        An address cannot be used.
    ConfigError
        A file that the configuration names is missing or does not fit.
    """

    def __init__(self, config: LiveViewConfig, folder: Path, metrics: LiveViewMetrics) -> None:
        super().__init__()
        self._config = config
        self._folder = folder
        self._metrics = metrics
        self._temporary = tempfile.TemporaryDirectory(prefix="std-live-view-")
        self._begin()

    @property
    def is_ready(self) -> bool:
        """Whether calls are answered."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """What the service waits for; None if it is ready."""
        if self._config.start is None or self._hp_io.setup is not None:
            return None
        return "the sources cannot be started yet: see start_failed in the log"

    def close(self) -> None:
        """End all streams with CANCELLED, and remove sockets and what a simulation made."""
        super().close()
        self._temporary.cleanup()

    def _after_step(self) -> None:
        self._watch.step(self._hp_io.sources)
        self._metrics.update(self._hub, self._streams, self._hp_io.sources, self._service.uploads, time.time_ns())

    async def _open(self) -> None:
        config = self._config
        self._hub = FrameHub(config.history_frames, config.max_products, self._loop.time)
        self._streams = Streams(config.max_streams)
        self._server = GrpcServer(
            config,
            self._folder,
            SERVICE_NAME,
            POOL,
            own_socket=Path(self._temporary.name) / "own.sock",
            n_streams=config.max_streams,
        )
        gateway = config.gateway
        self._edges = [] if gateway is None else edges_of(gateway, self._folder)
        acquisition: Acquisition = LocalAcquisition(config) if gateway is None else Edges(self._edges)
        self._hp_io = HpIo(
            config, acquisition, self._hub, self._streams, self._make_sources, self._server.show_configuring
        )
        self._watch = SourceWatch(config.silent_after_s, self._streams, self._loop.time)
        self._service = DaqDataService(
            config, self._folder, self._hub, self._streams, acquisition, self._hp_io, self._watch
        )
        self._note_built()
        await self._server.open(self._service.handler())
        if self._edges:
            await self._hp_io.begin(Setup(data_dir=Path(), interval_s=0.0, simulate=False))
        if (start := config.start) is not None:
            self._start_later(lambda: self._attempt_start(start))

    async def _close(self) -> None:
        self._hp_io.is_ending = True
        self._streams.end_all(_shutdown_text)
        await asyncio.gather(self._hp_io.close(), self._server.close(GRACE_S))

    async def _attempt_start(self, start: StartConfig) -> str:
        """Do what InitHpIo would be told, unless a client has done it; returns what is wrong."""
        if self._hp_io.setup is not None:
            return ""
        setup = Setup(
            data_dir=self._folder / (start.data_dir or ""),
            interval_s=start.update_interval_s,
            simulate=start.simulate,
            module_ids=tuple(start.module_ids),
        )
        return await self._hp_io.init(setup, force=False)

    def _make_sources(self, setup: Setup) -> Sequence[Source]:
        if self._config.gateway is not None:
            return [EdgeSource(edge, self._hub.publish) for edge in self._edges]
        return self._simulated_sources(setup) if setup.simulate else self._real_sources(setup)

    def _real_sources(self, setup: Setup) -> Sequence[Source]:
        config, publish = self._config.sources, self._hub.publish
        sources: list[Source] = []
        if config.unix_sockets is not None:
            sources.append(SocketSource(config.unix_sockets, self._folder, publish))
        if config.run_directory is not None:
            with_pipes = config.run_directory.method == "pipe"
            sources.append(self._run_directory(setup.data_dir, setup, with_pipes=with_pipes))
        buffers = [ImageBufferSource(one, self._folder, setup.interval_s, publish) for one in config.image_buffers]
        return [*sources, *buffers]

    def _simulated_sources(self, setup: Setup) -> Sequence[Source]:
        config = self._config.simulation
        reading: list[Source] = []
        way: Way
        if config.mode == "uds":
            template = str(Path(self._temporary.name) / "dp_{dp_name}.sock")
            sockets = self._config.sources.unix_sockets or UnixSocketsConfig(path_template=template)
            source = SocketSource(sockets, self._folder, self._hub.publish)
            reading.append(source)
            way = SocketWay({name: source.path_of(name) for name in sockets.products})
        elif config.mode == "rpc":
            way = UploadWay(self._server.own_channel, self._server.own_metadata())
        else:
            with_pipes = config.mode == "filesystem_pipe"
            own = Path(self._temporary.name) / "simulation"
            data_dir = own if config.data_dir is None else self._folder / config.data_dir
            reading.append(self._run_directory(data_dir, setup, with_pipes=with_pipes))
            way = FileWay(data_dir, config, with_pipe=with_pipes)
        return [*reading, Simulation(config, self._folder, way)]

    def _run_directory(self, data_dir: Path, setup: Setup, *, with_pipes: bool) -> RunDirectorySource:
        return RunDirectorySource(
            data_dir, list(setup.module_ids), setup.interval_s, with_pipes=with_pipes, publish=self._hub.publish
        )


def _shutdown_text(stream: Stream) -> str:
    return f"server shutdown_event set for ({stream.peer})"
