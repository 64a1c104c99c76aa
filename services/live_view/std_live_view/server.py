"""The gRPC server: its options, its addresses, reflection and health."""

from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

from std_daq.errors import PortError
from std_daq.telemetry.logs import get_logger
from std_daq.telescope.config import LiveViewConfig
from std_daq.telescope.daqdata.description import POOL
from std_live_view.access import TokenCheck, read_token, server_credentials, token_metadata
from std_live_view.daq_data_service import SERVICE_NAME, DaqDataService
from std_live_view.socket_path import SocketFile, clear_socket_path

_HEALTH_NAME = "grpc.health.v1.Health"
_MAX_MESSAGE_BYTES = 4 * 2**20
_OPTIONS = [
    # Existing clients ping every 30 s. With the default a silent stream is ended after 90 s: "too_many_pings".
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client whose machine was switched off is noticed within half a minute.
    ("grpc.keepalive_time_ms", 20000),
    ("grpc.keepalive_timeout_ms", 10000),
    # Two servers on one port would take turns, and nobody would notice.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
]
_GROUP_TOO = 0o660


class LiveServer:
    """The gRPC server of a live view.

    Parameters
    ----------
    config
        Addresses.
    folder
        Folder to which a relative path refers.
    own_socket
        Unix socket at which the server is there for itself.

    Raises
    ------
    ConfigError
        A file of the token or of TLS is missing or does not fit.
    """

    def __init__(self, config: LiveViewConfig, folder: Path, own_socket: Path) -> None:
        self._config = config
        self._own_socket = own_socket
        self._socket = None if config.unix_socket is None else folder / config.unix_socket
        self._health = health_aio.HealthServicer()
        self._token = None if config.token_file is None else read_token(folder / config.token_file)
        self._credentials = None if config.tls is None else server_credentials(config.tls, folder)
        interceptors = [] if self._token is None else [TokenCheck(self._token)]
        self._server = grpc.aio.server(interceptors=interceptors, options=_OPTIONS)
        self._file: SocketFile | None = None
        self.port: int | None = None

    def own_channel(self) -> grpc.aio.Channel:
        """Return a channel from the server to itself, by which its simulation uploads."""
        return grpc.aio.insecure_channel(f"unix://{self._own_socket}")

    def own_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of the server's calls to itself."""
        return token_metadata(self._token)

    async def open(self, service: DaqDataService) -> None:
        """Listen, and serve.

        Raises
        ------
        PortError
            An address cannot be used.
        """
        self._server.add_generic_rpc_handlers((service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for described in (health_pb2, reflection_pb2):
            POOL.AddSerializedFile(described.DESCRIPTOR.serialized_pb)
        reflection.enable_server_reflection(
            (SERVICE_NAME, _HEALTH_NAME, reflection.SERVICE_NAME), self._server, pool=POOL
        )
        config = self._config
        if config.port is not None:
            host = f"[{config.host}]" if ":" in config.host else config.host
            self.port = self._bind(f"{host}:{config.port}", "another program may use it", self._credentials)
        if self._socket is not None:
            clear_socket_path(self._socket)
            self._bind(f"unix://{self._socket.absolute()}", "may this user make files there?")
            self._file = SocketFile(self._socket, _GROUP_TOO)
        self._bind(f"unix://{self._own_socket}", "is the folder for temporary files too long?")
        for name in ("", SERVICE_NAME):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        get_logger().info("listening", host=config.host, port=self.port, unix_socket=self._socket)

    async def show_configuring(self, is_configuring: bool) -> None:
        """Tell by the health of DaqData whether InitHpIo is at work."""
        state = health_pb2.HealthCheckResponse
        await self._health.set(SERVICE_NAME, state.NOT_SERVING if is_configuring else state.SERVING)

    async def close(self, grace_s: float) -> None:
        """Take no further calls, and end those that are still there after a while."""
        await self._server.stop(grace_s)
        if self._file is not None:
            self._file.remove()

    def _bind(self, address: str, remedy: str, credentials: grpc.ServerCredentials | None = None) -> int:
        try:
            if credentials is not None:
                port: int = self._server.add_secure_port(address, credentials)
            else:
                port = self._server.add_insecure_port(address)
        except RuntimeError:
            raise PortError(f"{address} cannot be bound: {remedy}") from None
        return port
