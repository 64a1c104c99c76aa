"""UdpPlace: where UDP packets are received: an address of this machine, or a multicast group, over IPv4 or IPv6.

A group is joined by the kernel's messages to routers and switches (IGMP for IPv4, MLD for IPv6). Several sockets may
receive one group, also those of several programs and servers; each gets every packet.
"""

import errno
import fcntl
import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Self

from std_daq.address_words import address_error, address_in_words
from std_daq.errors import PortError

KEYS = "start_udp_port, udp.address or udp.interface"
# <linux/in.h>, <linux/in6.h>; the socket module lacks these constants.
_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29
_MREQN = struct.Struct("4s4si")
_MREQ6 = struct.Struct("16sI")
_SIOCGIFADDR = 0x8915
_IPV6_ADDRESSES = Path("/proc/net/if_inet6")


@dataclass(frozen=True, slots=True)
class UdpPlace:
    """An address at which packets are received, and the network interface for it.

    Parameters
    ----------
    address
        An IPv4 or IPv6 address of this machine, 0.0.0.0 or :: for all of them, or a multicast group. A link-local IPv6
        address has its interface behind a ``%``: fe80::1%eth1.
    interface
        Interface, by name or by one of its addresses, at which a group is joined; None: the one of the route.
    """

    address: IPv4Address | IPv6Address
    interface: str | None = None

    @classmethod
    def of(cls, address: str, interface: str | None = None) -> Self:
        """Return the place of two texts.

        Raises
        ------
        ValueError
            The address is none, or the two do not go together; the text says what to give.
        """
        parsed = parse_address(address)
        if interface is not None and not parsed.is_multicast:
            raise ValueError(f"interface is for multicast groups; {address} is an address, which has its interface")
        if interface is not None and not interface_text(interface):
            raise ValueError(f"'{interface}' is neither an address nor the name of an interface, for example eth1")
        if interface is not None and _is_of_other_version(interface, parsed):
            raise ValueError(f"the group {address} and the interface {interface} are of different versions of IP")
        if isinstance(parsed, IPv6Address) and parsed.is_link_local and parsed.scope_id is None:
            raise ValueError(f"a link-local address needs its interface: {address}%eth1")
        return cls(parsed, interface)

    @property
    def family(self) -> socket.AddressFamily:
        """Family of the socket."""
        return socket.AF_INET if self.address.version == 4 else socket.AF_INET6

    @property
    def is_group(self) -> bool:
        """Whether this is a multicast group, which has to be joined."""
        return self.address.is_multicast

    @property
    def loopback(self) -> str:
        """The loopback address of the same family."""
        return "127.0.0.1" if self.family == socket.AF_INET else "::1"

    def endpoint(self, port: int) -> str:
        """Return address and port as text."""
        return f"[{self.address}]:{port}" if self.family == socket.AF_INET6 else f"{self.address}:{port}"

    def open_socket(self) -> socket.socket:
        """Return a socket that `bind` binds."""
        made = socket.socket(self.family, socket.SOCK_DGRAM)
        if self.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made

    def bind(self, made: socket.socket, port: int, key: str = KEYS) -> None:
        """Bind a socket to a port of this place, and join the group.

        Parameters
        ----------
        made
            A socket of `open_socket`.
        port
            The UDP port; 0: any free one.
        key
            What the user may change if this fails.

        Raises
        ------
        PortError
            The port is in use or not allowed, or this machine has no such address or interface.
        """
        what = f"UDP {self.endpoint(port)} cannot be opened"
        try:
            index = self._index()
            if self.is_group:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(self._sockaddr(port, index))
        except OSError as error:
            raise address_error(what, error, key) from None
        if self.is_group:
            try:
                self._join(made, index)
            except OSError as error:
                raise PortError(f"{what}: {self._why_not_joined(error)}") from None

    def prepare_to_send(self, made: socket.socket, hops: int) -> None:
        """Prepare a socket that sends to this group: its interface, its hops, and that this machine hears it as well.

        With 0 hops, packets stay on this machine. Linux ensures that only while the group has a member here: then the
        socket is one.

        Raises
        ------
        OSError
            There is no such interface.
        """
        index = self._index()
        if isinstance(self.address, IPv4Address):
            if index or self._interface_address():
                choice = _MREQN.pack(b"\0" * 4, (self._interface_address() or IPv4Address(0)).packed, index)
                made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, choice)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, hops)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            if hops == 0:
                self._join(made, index)
            return
        if index:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        if hops == 0:
            self._join(made, index)

    def interface_name(self) -> str | None:
        """Return the name of the interface that is configured; None if the route decides, or there is none such."""
        with suppress(OSError):
            address = self._interface_address()
            return _name_of(address) if address is not None else socket.if_indextoname(self._index())
        return None

    def _sockaddr(self, port: int, index: int) -> tuple[object, ...]:
        if isinstance(self.address, IPv4Address):
            return str(self.address), port
        return str(self.address).partition("%")[0], port, 0, index

    def _index(self) -> int:
        """Return the number of the interface; 0 if the route decides, or an IPv4 address names it."""
        scope = self.address.scope_id if isinstance(self.address, IPv6Address) else None
        named = scope or self.interface
        if named is None or (self.family == socket.AF_INET and self._interface_address() is not None):
            return 0
        with suppress(ValueError):
            return socket.if_nametoindex(_name_of(ip_address(named)))
        try:
            return int(named) if named.isdecimal() else socket.if_nametoindex(named)
        except OSError:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None

    def _interface_address(self) -> IPv4Address | IPv6Address | None:
        with suppress(ValueError):
            return None if self.interface is None else ip_address(self.interface)
        return None

    def _join(self, made: socket.socket, index: int) -> None:
        if isinstance(self.address, IPv4Address):
            # Otherwise a socket also gets the groups that other sockets of this machine have joined.
            made.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            local = self._interface_address() or IPv4Address(0)
            made.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _MREQN.pack(self.address.packed, local.packed, index)
            )
            return
        with suppress(OSError):  # Linux before 4.20; the socket is bound to its group anyway
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, _MREQ6.pack(self.address.packed, index))

    def _why_not_joined(self, error: OSError) -> str:
        where = (
            "no route leads to this group"
            if self.interface is None
            else f"interface {self.interface} is not up, or is none"
        )
        return f"the group cannot be joined: {address_in_words(error)}; {where}: set udp.interface"


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """Return an IPv4 or IPv6 address; raises ValueError, which says what is expected."""
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(
            f"'{text}' is no IPv4 or IPv6 address, for example 10.0.5.1, fd00::5, or the group 239.1.2.3"
        ) from None


def interface_text(text: str) -> bool:
    """Return whether a text can name an interface: its name, or one of its addresses."""
    try:
        ip_address(text)
    except ValueError:
        return 0 < len(text) < 16 and not any(char.isspace() or char == "/" for char in text)
    return True


def _is_of_other_version(interface: str, group: IPv4Address | IPv6Address) -> bool:
    with suppress(ValueError):
        return ip_address(interface).version != group.version
    return False


def _name_of(address: IPv4Address | IPv6Address) -> str:
    """Return the name of the interface that has an address.

    Raises
    ------
    OSError
        None has it.
    """
    names = [name for _, name in socket.if_nameindex()]
    if isinstance(address, IPv6Address):
        for line in _IPV6_ADDRESSES.read_text().splitlines():
            digits, *_, name = line.split()
            if bytes.fromhex(digits) == address.packed:
                return name
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            for name in names:
                with suppress(OSError):
                    answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("40s", name.encode()))
                    if answer[20:24] == address.packed:
                        return name
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
