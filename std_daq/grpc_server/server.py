"""The gRPC server: its options, its addresses, reflection and health."""

import socket
from pathlib import Path

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

from std_daq.address_words import address_error
from std_daq.errors import PortError
from std_daq.grpc_server.access import TokenCheck, read_token, server_credentials, token_metadata
from std_daq.grpc_server.config import GrpcServerConfig
from std_daq.grpc_server.socket_path import SocketFile, clear_socket_path, is_stale_socket
from std_daq.streams.descriptors import most_peers
from std_daq.telemetry.logs import get_logger

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
    # Who connects and says nothing, or calls nothing, gives its place to others. Channels of true clients connect again
    # with their next call.
    ("grpc.server_handshake_timeout_ms", 5000),
    ("grpc.max_connection_idle_ms", 60_000),
]
MAX_CONNECTIONS = 256
_GROUP_TOO = 0o660


def check_server(config: GrpcServerConfig) -> None:
    """Check, without starting it, that a server can listen, and that its files are there and fit.

    Raises
    ------
    ConfigError
        A file of the token or of TLS is missing or does not fit.
    PortError
        An address cannot be used.
    """
    if config.token_file is not None:
        read_token(config.token_file)
    if config.tls is not None:
        server_credentials(config.tls, Path())
    if config.port is not None:
        check_port(config.host, config.port)
    if config.unix_socket is not None:
        is_stale_socket(config.unix_socket)


def check_port(host: str, port: int) -> None:
    """Listen at a port for a moment: gRPC itself does not tell why it cannot; raises PortError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        raise address_error(f"{_endpoint(host, port)} cannot be bound", error, "host or port") from None


def _endpoint(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class GrpcServer:
    """A gRPC server with one service, its health and its reflection.

    Parameters
    ----------
    config
        Addresses.
    folder
        Folder to which a relative path refers.
    service_name
        Full name of the service, for example ``daqdata.DaqData``.
    pool
        Description of the service, which clients see by reflection.
    own_socket
        Unix socket at which the server is there for itself; None if it makes no calls to itself.
    n_streams
        Streams that there may be at once; each may need a connection.

    Raises
    ------
    ConfigError
        A file of the token or of TLS is missing or does not fit.
    """

    def __init__(
        self,
        config: GrpcServerConfig,
        folder: Path,
        service_name: str,
        pool: DescriptorPool,
        own_socket: Path | None = None,
        n_streams: int = 0,
    ) -> None:
        self._config = config
        self._service_name = service_name
        self._pool = pool
        self._own_socket = own_socket
        self._socket = None if config.unix_socket is None else folder / config.unix_socket
        self._health = health_aio.HealthServicer()
        self._token = None if config.token_file is None else read_token(folder / config.token_file)
        self._credentials = None if config.tls is None else server_credentials(config.tls, folder)
        interceptors = [] if self._token is None else [TokenCheck(self._token)]
        limit = ("grpc.max_allowed_incoming_connections", most_peers(max(MAX_CONNECTIONS, 2 * n_streams)))
        self._server = grpc.aio.server(interceptors=interceptors, options=[*_OPTIONS, limit])
        self._file: SocketFile | None = None
        self.port: int | None = None

    def own_channel(self) -> grpc.aio.Channel:
        """Return a channel from the server to itself, by which its simulation uploads."""
        return grpc.aio.insecure_channel(f"unix://{self._own_socket}")

    def own_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of the server's calls to itself."""
        return token_metadata(self._token)

    async def open(self, handler: grpc.GenericRpcHandler) -> None:
        """Listen, and serve.

        Parameters
        ----------
        handler
            Routes the calls of the service.

        Raises
        ------
        PortError
            An address cannot be used.
        """
        self._server.add_generic_rpc_handlers((handler,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for described in (health_pb2, reflection_pb2):
            self._pool.AddSerializedFile(described.DESCRIPTOR.serialized_pb)
        reflection.enable_server_reflection(
            (self._service_name, _HEALTH_NAME, reflection.SERVICE_NAME), self._server, pool=self._pool
        )
        config = self._config
        if config.port is not None:
            check_port(config.host, config.port)
            self.port = self._bind(_endpoint(config.host, config.port), "another program may use it", self._credentials)
        if self._socket is not None:
            clear_socket_path(self._socket)
            self._bind(f"unix://{self._socket.absolute()}", "may this user make files there?")
            self._file = SocketFile(self._socket, _GROUP_TOO)
        if self._own_socket is not None:
            self._bind(f"unix://{self._own_socket}", "is the folder for temporary files too long?")
        for name in ("", self._service_name):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        get_logger().info("listening", host=config.host, port=self.port, unix_socket=self._socket)

    async def show_configuring(self, is_configuring: bool) -> None:
        """Tell by the health of the service whether it is being configured."""
        state = health_pb2.HealthCheckResponse
        await self._health.set(self._service_name, state.NOT_SERVING if is_configuring else state.SERVING)

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
