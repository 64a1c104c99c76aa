"""The hosts of a client: read from daq_config and network_config, or given as one address."""

import errno
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from std_daq.config.wrong_input import fault_in_words
from std_daq.telescope.client.errors import HostsConfigError

DEFAULT_PORT = 50051
_MAX_PORT = 65535
_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "passthrough:")
_IN_BRACKETS = re.compile(r"\[(?P<host>[^\[\]]+)\](?::(?P<port>\w+))?")
_WITH_PORT = re.compile(r"(?P<host>[^:/\s]+):(?P<port>\w+)")
_NAME = re.compile(r"[^:/\s\[\]]+")
_EXAMPLES = "give a name, host:port, [ipv6]:port, or unix:/path"

Document = Mapping[str, Any] | str | Path


@dataclass(frozen=True, slots=True)
class Host:
    """One server.

    Parameters
    ----------
    name
        How the configuration and the user name it.
    target
        What gRPC connects to.
    data_dir
        Folder of the run directories there, if the configuration tells.
    """

    name: str
    target: str
    data_dir: str | None = None


def target_of(address: str, port: int = DEFAULT_PORT) -> str:
    """Return what gRPC connects to.

    Parameters
    ----------
    address
        ``name``, ``host:port``, ``::1``, ``[::1]:port``, ``unix:/path``, the path of a Unix socket, a target of gRPC.
    port
        Port where the address has none.

    Raises
    ------
    HostsConfigError
        It is no address.
    """
    if address.startswith(_SCHEMES):
        return address
    if address.startswith("/"):
        return f"unix:{address}"
    if found := _IN_BRACKETS.fullmatch(address) or _WITH_PORT.fullmatch(address):
        host = f"[{found['host']}]" if ":" in found["host"] else found["host"]
        return f"{host}:{_port(found['port'], address) if found['port'] else port}"
    if _is_ipv6(address):
        return f"[{address}]:{port}"
    if not _NAME.fullmatch(address):
        raise HostsConfigError("is no address", value=address, remedy=_EXAMPLES)
    return f"{address}:{port}"


def hosts_of(daq_config: Document, network_config: Document | None = None, port: int = DEFAULT_PORT) -> dict[str, Host]:
    """Return the hosts of the two configurations by name.

    Parameters
    ----------
    daq_config
        The document, or the path of its file: ``{"daq_nodes": [{"ip_addr": "10.0.0.5", "data_dir": "/data"}]}``.
    network_config
        The same for ``{"daq_nodes": [{"ip_addr": "10.0.0.5", "grpc_port": 50052, "port_forwarding": {...}}]}``.
    port
        Port of a host for which the documents have none.

    Raises
    ------
    HostsConfigError
        A document is missing, of the wrong type, or has no hosts.
    FileNotFoundError
        There is no such file.
    """
    document, file = _read(daq_config, "daq_config")
    nodes = _nodes(document, file)
    if not nodes:
        raise HostsConfigError("daq_nodes is empty", file=file, key="daq_nodes", remedy="name at least one host")
    ways = {}
    if network_config is not None:
        network, network_file = _read(network_config, "network_config")
        ways = {node["ip_addr"]: node for node in _nodes(network, network_file)}
    hosts = {}
    for node in nodes:
        name = node["ip_addr"]
        try:
            target = _target(name, ways.get(name, {}), port)
        except HostsConfigError as error:
            raise error.in_file(file) from None
        data_dir = node.get("data_dir")
        hosts[name] = Host(name, target, None if data_dir is None else str(data_dir))
    return hosts


def read_document(source: Document, what: str) -> dict[str, Any]:
    """Return a document that is given as such, or as the path of its file; raises as `hosts_of`."""
    return dict(_read(source, what)[0])


def _read(source: Document, what: str) -> tuple[Mapping[str, Any], str]:
    if isinstance(source, Mapping):
        return source, what
    if not isinstance(source, str | Path) or not str(source):
        raise HostsConfigError(
            f"{what} is {'missing' if source is None or source == '' else type(source).__name__}",
            remedy="give a dict, or the path of a JSON file",
        )
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise HostsConfigError(fault_in_words(error), file=path) from None
    if not isinstance(document, dict):
        raise HostsConfigError("is JSON, but no object", file=path)
    return document, str(path)


def _nodes(document: Mapping[str, Any], file: str) -> list[Mapping[str, Any]]:
    nodes = document.get("daq_nodes")
    if nodes is None:
        nodes = []
    if not isinstance(nodes, list | tuple):
        raise HostsConfigError("is no list", file=file, key="daq_nodes", value=nodes)
    for index, node in enumerate(nodes):
        if not isinstance(node, Mapping) or not isinstance(node.get("ip_addr"), str) or not node["ip_addr"]:
            raise HostsConfigError(
                "has no ip_addr", file=file, key=f"daq_nodes[{index}]", value=node, remedy="name the host's address"
            )
    return list(nodes)


def _target(name: str, way: Mapping[str, Any], default_port: int) -> str:
    """Return where a host is reached: at its own address, or through the gateway that forwards a port to it."""
    forwarding = way.get("port_forwarding")
    port = way.get("grpc_port")
    if isinstance(forwarding, Mapping) and forwarding.get("status") is True:
        gateway = forwarding.get("gw_ip")
        if not isinstance(gateway, str) or not gateway:
            raise HostsConfigError(f"{name} is reached by port_forwarding, but gw_ip is missing", value=gateway)
        forwarded = forwarding.get("grpc_port", port)
        return target_of(gateway, default_port if forwarded is None else _port(forwarded, name))
    return target_of(name, default_port if port is None else _port(port, name))


def _is_ipv6(address: str) -> bool:
    try:
        IPv6Address(address)
    except ValueError:
        return False
    return True


def _port(value: Any, address: str) -> int:
    is_number = isinstance(value, int) or (isinstance(value, str) and value.isdecimal())
    if isinstance(value, bool) or not is_number or not 1 <= int(value) <= _MAX_PORT:
        raise HostsConfigError(f"the port of {address} is no number from 1 to {_MAX_PORT}", value=value)
    return int(value)
