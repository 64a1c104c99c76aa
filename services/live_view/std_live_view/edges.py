"""Edges: the servers behind a gateway, which are told and asked all at once."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2

from std_daq.errors import ConfigError
from std_daq.grpc_server.config import LAST_PORT
from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telescope.client.access import Access
from std_daq.telescope.client.hosts import DEFAULT_PORT, Host, hosts_of, target_of
from std_daq.telescope.config import GatewayConfig
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_live_view.acquisition import Condition, Prepared, Setup

PORT_VARIABLE = "EDGENODE_GRPC_PORT"
_INIT_WITHIN_S = 15.0
_STATUS_WITHIN_S = 5.0
# The gateway's own stream may be there still, for as long as the edge has not noticed its end.
_OWN_STREAM_ENDS_WITHIN_S = 2.0
_AGAIN_S = 0.1
Code = grpc.StatusCode


@dataclass(frozen=True, slots=True)
class Edge:
    """A server behind the gateway.

    Parameters
    ----------
    host
        Where it is.
    access
        How the gateway is let in.
    """

    host: Host
    access: Access

    def open_channel(self) -> Any:
        """Return a channel to it."""
        return self.access.open_channel(self.host, grpc.aio)

    async def call(self, channel: Any, name: str, request: Any, response: Any, timeout_s: float) -> Any:
        """Return the answer to a call; raises grpc.aio.AioRpcError."""
        calling = channel.unary_unary(
            f"/daqdata.DaqData/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return await calling(request, timeout=timeout_s, metadata=self.access.metadata())


def edges_of(config: GatewayConfig, folder: Path) -> list[Edge]:
    """Return the edges of a gateway; raises ConfigError if a file of the configuration is missing or wrong.

    The port of an edge without one is `edge_port`, else that of the environment, else 50051.
    """
    access = Access(
        ca_file=_in(folder, config.ca_file),
        cert_file=_in(folder, config.cert_file),
        key_file=_in(folder, config.key_file),
        server_name=config.server_name,
        token_file=_in(folder, config.token_file),
    )
    port = config.edge_port or _port_of_environment()
    hosts = [Host(address, target_of(address, port)) for address in config.edges]
    if config.daq_config is not None:
        network = _in(folder, config.network_config)
        try:
            hosts += hosts_of(folder / config.daq_config, network, port).values()
        except FileNotFoundError as error:
            raise ConfigError("there is no such file", key="gateway", value=error.filename) from None
    edges = [Edge(host, access) for host in {host.target: host for host in hosts}.values()]
    access.metadata()  # a file that is missing is told of now
    return edges


class Edges:
    """All edges of a gateway, as the acquisition that InitHpIo prepares.

    Parameters
    ----------
    edges
        The edges.
    """

    def __init__(self, edges: Sequence[Edge]) -> None:
        self._edges = edges

    async def check(self, setup: Setup) -> None:  # noqa: ARG002 - the edges check it
        """Raise RefusedCallError if there are no edges."""
        if not self._edges:
            raise RefusedCallError(Code.FAILED_PRECONDITION, "This gateway has no edges.")

    async def prepare(self, setup: Setup, *, force: bool) -> Prepared:
        """Call InitHpIo of all edges at once."""
        request = messages.InitHpIoRequest(
            data_dir=setup.asked_dir,
            update_interval_seconds=setup.interval_s,
            force=force,
            simulate_daq=setup.simulate,
            module_ids=setup.module_ids,
        )
        problems = await asyncio.gather(*(_init(edge, request) for edge in self._edges))
        told = [f"{edge.host.target}: {text}" for edge, text in zip(self._edges, problems, strict=True) if text]
        return Prepared("; ".join(told), has_changed=len(told) < len(self._edges))

    async def condition(self) -> Condition:
        """Return what the edges answer to Status."""
        if not self._edges:
            return Condition(is_valid=False, message="This gateway has no edges.")
        conditions = await asyncio.gather(*(_status(edge) for edge in self._edges))
        texts = [f"{edge.host.target}: {one.message}" for edge, one in zip(self._edges, conditions, strict=True)]
        return Condition(all(one.is_valid for one in conditions), "; ".join(texts))


async def _init(edge: Edge, request: messages.InitHpIoRequest) -> str:
    """Return why an edge was not initialised, or an empty text."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + _OWN_STREAM_ENDS_WITHIN_S
    async with edge.open_channel() as channel:
        while True:
            try:
                answer = await edge.call(channel, "InitHpIo", request, messages.InitHpIoResponse, _INIT_WITHIN_S)
            except grpc.aio.AioRpcError as error:
                if error.code() is Code.FAILED_PRECONDITION and "streaming" in text_of(error) and loop.time() < end_s:
                    await asyncio.sleep(_AGAIN_S)
                    continue
                return text_of(error)
            return "" if answer.success else answer.error_message or "InitHpIo has failed"


async def _status(edge: Edge) -> Condition:
    async with edge.open_channel() as channel:
        try:
            answer = await edge.call(channel, "Status", empty_pb2.Empty(), messages.StatusResponse, _STATUS_WITHIN_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is Code.UNIMPLEMENTED:  # servers before 2026 have no Status
                return Condition(is_valid=True, message="it answers, and has no Status")
            return Condition(is_valid=False, message=text_of(error))
        return Condition(answer.hp_io_initialized, answer.message)


def text_of(error: grpc.aio.AioRpcError) -> str:
    """Return what a failed call tells."""
    return f"{error.code().name}: {error.details()}"


def _in(folder: Path, path: Path | None) -> Path | None:
    return None if path is None else folder / path


def _port_of_environment() -> int:
    text = os.environ.get(PORT_VARIABLE, "")
    if not text:
        return DEFAULT_PORT
    if not text.isdecimal() or not 1 <= int(text) <= LAST_PORT:
        remedy = f"set it to a number from 1 to {LAST_PORT}, or remove it"
        raise ConfigError("is no port", key=PORT_VARIABLE, value=text, remedy=remedy)
    return int(text)
