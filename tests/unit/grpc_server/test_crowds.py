"""A gRPC server among connections that say nothing, or nothing that makes sense."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc

from std_daq.grpc_server import server as server_module
from std_daq.grpc_server.config import GrpcServerConfig
from std_daq.grpc_server.server import GrpcServer

HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
N_PLACES = 16
SHORT_MS = 300
SAID = {"nothing": b"", "half a greeting": HTTP2[:10], "only a greeting": HTTP2, "garbage": bytes(range(256)) * 64}


@pytest.fixture(autouse=True)
def short_times_and_few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"grpc.server_handshake_timeout_ms", "grpc.max_connection_idle_ms"}
    options = [(name, SHORT_MS if name in times else value) for name, value in server_module._OPTIONS]
    assert sum(value == SHORT_MS for _, value in options) == len(times)
    monkeypatch.setattr(server_module, "_OPTIONS", options)
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", N_PLACES)


@pytest.fixture
def strangers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def is_ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(1000):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


async def is_healthy(channel: grpc.aio.Channel) -> bool:
    answer = await health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=10.0
    )
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def connect(strangers: ExitStack, port: int, said: bytes) -> socket.socket:
    connection = strangers.enter_context(socket.create_connection(("127.0.0.1", port)))
    with suppress(ConnectionError):  # it may have been sent away already
        connection.sendall(said)
    return connection


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_true_clients_are_served_beside_a_crowd(tmp_path: Path, strangers: ExitStack, said: bytes) -> None:
    async def run() -> None:
        server = GrpcServer(
            GrpcServerConfig.model_validate({"name": "any", "port": 0}), tmp_path, "any.Service", DescriptorPool()
        )
        await server.open(grpc.method_handlers_generic_handler("any.Service", {}))
        assert server.port
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as friend:
            assert await is_healthy(friend)
            crowd = [connect(strangers, server.port, said) for _ in range(4 * N_PLACES)]
            assert await is_healthy(friend)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as late:
                assert await is_healthy(late)
            while not all(map(is_ended, crowd)):
                await asyncio.sleep(0.01)
            assert await is_healthy(friend), "a channel that was idle connects again"
        await server.close(0.1)

    asyncio.run(run())


def test_places_are_far_fewer_than_the_files_of_the_process(tmp_path: Path, strangers: ExitStack) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Both ends of each connection are in this process, which other tests have left with some files.
    n_files = 64 + 2 * max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    n_places = n_files // 8

    async def run() -> None:
        server = GrpcServer(
            GrpcServerConfig.model_validate({"name": "any", "port": 0}), tmp_path, "any.Service", DescriptorPool()
        )
        await server.open(grpc.method_handlers_generic_handler("any.Service", {}))
        try:
            assert server.port
            crowd = [connect(strangers, server.port, b"") for _ in range(n_places + 12)]
            while sum(map(is_ended, crowd)) < 12:
                await asyncio.sleep(0.01)
        finally:
            await server.close(0.1)

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n_files, before[1]))
        asyncio.run(run())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
