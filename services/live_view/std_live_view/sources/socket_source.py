"""SocketSource: frames that an acquisition writes into Unix sockets."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

from std_daq.errors import PortError
from std_daq.grpc_server.socket_path import SocketFile, clear_socket_path
from std_daq.telemetry.logs import ConditionLog
from std_daq.telescope.config import UnixSocketsConfig
from std_daq.telescope.pff.product import PRODUCTS, Product
from std_live_view.sources.socket_frames import SocketFrames
from std_live_view.sources.source import Publish, SourceState, telescope_frame

_READ_BYTES = 204_800
_OWN_USER_ONLY = 0o600


class SocketSource:
    """Listens on one Unix socket for each product, and takes the frames of every connection.

    Parameters
    ----------
    config
        The sockets.
    folder
        Folder to which a relative path refers.
    publish
        Takes the frames.
    """

    def __init__(self, config: UnixSocketsConfig, folder: Path, publish: Publish) -> None:
        self._config = config
        self._folder = folder
        self._publish = publish
        self._servers: dict[asyncio.Server, SocketFile] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._conditions = ConditionLog()
        self.name = "unix_sockets"
        self.state = SourceState()

    def path_of(self, product: str) -> Path:
        """Return the path of the socket of a product."""
        return self._folder / self._config.path_template.format(dp_name=product)

    async def open(self) -> None:
        """Listen on all sockets; raises PortError."""
        for name in self._config.products:
            path = self.path_of(name)
            clear_socket_path(path)
            try:
                server = await asyncio.start_unix_server(self._accept(PRODUCTS[name]), path, limit=_READ_BYTES)
            except OSError as error:
                raise PortError(f"{path} cannot be bound: {error.strerror}") from None
            self._servers[server] = SocketFile(path, _OWN_USER_ONLY)
        self._describe_producer()

    async def run(self) -> None:
        """Wait: connections are served by tasks of their own."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """End all connections, and remove the sockets."""
        for server in self._servers:
            server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for file in self._servers.values():
            file.remove()
        self._servers.clear()

    def _accept(
        self, product: Product
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None, "asyncio serves each connection in a task"  # noqa: S101
            self._connections.add(task)
            self._describe_producer()
            try:
                await self._read(product, reader)
            except asyncio.CancelledError:
                pass  # the source ends
            finally:
                self._connections.discard(task)
                self._describe_producer()
                writer.transport.abort()

        return serve

    def _describe_producer(self) -> None:
        n = len(self._connections)
        self.state.producer = f"connections of an acquisition: {n}" if n else "no acquisition is connected"

    async def _read(self, product: Product, reader: asyncio.StreamReader) -> None:
        frames = SocketFrames(product)
        n_cut = n_frames = 0
        with suppress(ConnectionError, TimeoutError):
            while data := await asyncio.wait_for(reader.read(_READ_BYTES), self._config.read_timeout_s):
                try:
                    for module_id, header, pixels in frames.feed(data):
                        self._publish(
                            telescope_frame(product, module_id, header, pixels, f"uds_{product.name}", n_frames)
                        )
                        n_frames += 1
                        self.state.n_frames += 1
                except ValueError as error:
                    self.state.n_refused += 1
                    self._conditions.warning("connection_refused", product=product.name, error=str(error))
                    return
                if frames.n_cut != n_cut:
                    self.state.n_refused += frames.n_cut - n_cut
                    n_cut = frames.n_cut
                    self._conditions.warning("frames_cut", product=product.name, n_lost_bytes=frames.n_lost_bytes)
