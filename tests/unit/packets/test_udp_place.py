import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from std_daq.errors import AddressInUseError, PortError
from std_daq.packets.dump import Dump
from std_daq.packets.sending import PacketSender
from std_daq.packets.udp_place import UdpPlace
from std_test_kit.cables import add_group_interface, connect
from std_test_kit.network_namespace import NetworkNamespace

GROUPS = ["239.1.2.3", "ff15::1234"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")


@pytest.fixture
def servers() -> Iterator[tuple[NetworkNamespace, NetworkNamespace]]:
    """Two servers with two networks between them: eth0 and eth1."""
    with closing(NetworkNamespace("detector")) as near, closing(NetworkNamespace("daq")) as far:
        for net, name in enumerate(("eth0", "eth1")):
            connect(name, net, near, far)
        yield near, far


@pytest.fixture
def alone() -> Iterator[None]:
    """A server of its own, with the interface groups0."""
    with closing(NetworkNamespace("alone")) as server:
        add_group_interface("groups0", server)
        with server.inside():
            yield


def opened(stack: ExitStack, place: UdpPlace, port: int = 0) -> socket.socket:
    made = stack.enter_context(closing(place.open_socket()))
    made.settimeout(5.0)
    place.bind(made, port)
    return made


def send(text: bytes, host: str, port: int, **options: object) -> None:
    import numpy as np

    with PacketSender(host, port, **options) as sender:  # type: ignore[arg-type]
        sender.send(np.frombuffer(text, np.uint8).reshape(1, -1))


def receive_twice(group: str, interface: str) -> list[bytes]:
    place = UdpPlace.of(group, interface)
    with ExitStack() as stack:
        first = opened(stack, place)
        port = first.getsockname()[1]
        second = opened(stack, place, port)
        send(b"once", group, port, interface=interface, hops=0)
        return [one.recv(100) for one in (first, second)]


def test_several_sockets_of_a_machine_receive_one_group() -> None:
    assert receive_twice("239.1.2.3", "lo") == [b"once", b"once"]


@needs_root
@pytest.mark.parametrize("group", GROUPS)
def test_several_sockets_of_a_server_receive_one_group(group: str, alone: None) -> None:
    assert receive_twice(group, "groups0") == [b"once", b"once"]


@needs_root
@pytest.mark.parametrize(("group", "other"), [("239.1.2.3", "239.1.2.4"), ("ff15::1234", "ff15::1235")])
def test_a_socket_gets_its_own_group_only(group: str, other: str, alone: None) -> None:
    with ExitStack() as stack:
        mine = opened(stack, UdpPlace.of(group, "groups0"))
        port = mine.getsockname()[1]
        theirs = opened(stack, UdpPlace.of(other, "groups0"), port)
        send(b"theirs", other, port, interface="groups0", hops=0)
        assert theirs.recv(100) == b"theirs"
        send(b"mine", group, port, interface="groups0", hops=0)
        assert mine.recv(100) == b"mine"


@needs_root
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("interface", ["eth1", "address"])
def test_a_group_is_joined_at_the_interface_that_is_named(
    group: str, interface: str, servers: tuple[NetworkNamespace, NetworkNamespace]
) -> None:
    near, far = servers
    version = 4 if "." in group else 6
    own = {"eth1": "eth1", "address": "10.9.1.2" if version == 4 else "fd00:9:1::2"}[interface]
    with ExitStack() as stack:
        with far.inside():
            place = UdpPlace.of(group, own)
            assert place.interface_name() == "eth1"
            receiving = opened(stack, place)
            port = receiving.getsockname()[1]
            table = Path("/proc/thread-self/net", "igmp" if version == 4 else "igmp6").read_text()
        packed = "030201EF" if version == 4 else "ff150000000000000000000000001234"
        assert packed in table
        with near.inside():
            send(b"the wrong network", group, port, interface="eth0")
            send(b"the right network", group, port, interface="eth1")
            send(b"this machine only", group, port, interface="eth1", hops=0)
            send(b"again", group, port, interface="eth1")
        assert [receiving.recv(100), receiving.recv(100)] == [b"the right network", b"again"]


@needs_root
def test_without_a_named_interface_the_route_decides(servers: tuple[NetworkNamespace, NetworkNamespace]) -> None:
    near, far = servers
    place = UdpPlace.of("239.1.2.3")
    with ExitStack() as stack:
        with far.inside(), pytest.raises(PortError, match=r"no route leads to this group: set udp\.interface"):
            opened(stack, place)
        for server in (near, far):
            server.ip("route add 239.0.0.0/8 dev eth1")
        with far.inside():
            receiving = opened(stack, place)
        with near.inside():
            send(b"by route", "239.1.2.3", receiving.getsockname()[1])
        assert receiving.recv(100) == b"by route"


@needs_root
@pytest.mark.parametrize("address", ["fd00:9:1::2", "fe80::2%eth1", "::"])
def test_ipv6_addresses_receive(address: str, servers: tuple[NetworkNamespace, NetworkNamespace]) -> None:
    near, far = servers
    with ExitStack() as stack:
        with far.inside():
            receiving = opened(stack, UdpPlace.of(address))
        with near.inside():
            send(b"six", "fe80::2%eth1" if "%" in address else "fd00:9:1::2", receiving.getsockname()[1])
        assert receiving.recv(100) == b"six"


@pytest.mark.parametrize(
    ("address", "interface", "problem"),
    [
        ("eth9", None, "is no IPv4 or IPv6 address"),
        ("10.0.0.1", "eth1", "is for multicast groups"),
        ("239.1.2.3", "two words", "neither an address nor the name of an interface"),
        ("239.1.2.3", "a-very-long-interface-name", "neither an address nor the name of an interface"),
        ("fe80::1", None, "needs its interface: fe80::1%eth1"),
        ("239.1.2.3", "fd00::1", "are of different versions of IP"),
        ("ff15::1", "10.0.0.1", "are of different versions of IP"),
    ],
)
def test_what_is_no_place_is_refused(address: str, interface: str | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        UdpPlace.of(address, interface)


@pytest.mark.parametrize("interface", ["no-such0", "192.0.2.77"])
def test_an_interface_that_is_not_there_is_named(interface: str) -> None:
    place = UdpPlace.of("239.1.2.3", interface)
    with ExitStack() as stack, pytest.raises(PortError, match="no interface has this name"):
        opened(stack, place)


def test_a_port_in_use_is_told_apart() -> None:
    place = UdpPlace.of("127.0.0.1")
    with ExitStack() as stack:
        port = opened(stack, place).getsockname()[1]
        with pytest.raises(AddressInUseError, match="Address already in use: `ss -lnptu` shows by which program"):
            opened(stack, place, port)


def test_a_dump_receives_a_group_beside_a_receiver(tmp_path: Path) -> None:
    place = UdpPlace.of("239.1.2.3", "lo")
    with ExitStack() as stack:
        receiver = opened(stack, place)
        port = receiver.getsockname()[1]
        dump = stack.enter_context(Dump(tmp_path, place=place, ports=[port], max_packets=1))
        send(b"both", "239.1.2.3", port, interface="lo", hops=0)
        assert receiver.recv(100) == b"both"
        dump.run()
        assert dump.n_packets == 1


def test_a_group_has_its_interface_and_hops_in_the_socket() -> None:
    with closing(UdpPlace.of("239.1.2.3").open_socket()) as made:
        UdpPlace.of("239.1.2.3", "lo").prepare_to_send(made, 7)
        assert made.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 7
        # the address of the interface, as this option is read
        assert struct.unpack("4B", made.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, 4))[0] in {0, 127}
