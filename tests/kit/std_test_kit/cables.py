"""Cables between network namespaces, with addresses for both versions of IP."""

import subprocess

from std_test_kit.network_namespace import NetworkNamespace
from std_test_kit.wait import wait_until


def connect(name: str, net: int, near: NetworkNamespace, far: NetworkNamespace) -> None:
    """Lay a cable between two servers, each of which sees it as the interface `name`, and wait until it carries.

    The addresses are 10.9.NET.HOST, fd00:9:NET::HOST and fe80::HOST, where HOST is 1 for the near server, and 2.
    """
    near.ip(f"link add {name} type veth peer name {name} netns {far.path}")
    for host, server in enumerate((near, far), 1):
        server.ip(f"link set {name} addrgenmode none")
        for address in (f"10.9.{net}.{host}/24", f"fd00:9:{net}::{host}/64 nodad", f"fe80::{host}/64 nodad"):
            server.ip(f"addr add {address} dev {name}")
        server.ip(f"link set {name} up")
    for server in (near, far):
        wait_until(lambda server=server: _carries(name, server), 10.0)  # type: ignore[misc]


def add_group_interface(name: str, server: NetworkNamespace) -> None:
    """Give a server an interface for groups of its own: over loopback, Linux sends to no IPv6 group."""
    server.ip(f"link add {name} type veth peer name {name}-end")
    server.ip(f"link set {name}-end up")
    server.ip(f"link set {name} addrgenmode none")
    for address in ("10.9.9.1/24", "10.9.9.2/24", "fd00:9:9::1/64 nodad", "fd00:9:9::2/64 nodad"):
        server.ip(f"addr add {address} dev {name}")
    server.ip(f"link set {name} up")
    wait_until(lambda: _carries(name, server), 10.0)


def _carries(name: str, server: NetworkNamespace) -> bool:
    with server.inside():
        told = subprocess.run(["ip", "-o", "link", "show", name], capture_output=True, text=True, check=True).stdout
    return "state UP" in told
