"""Checks of a multicast group: its interface, the filter of return paths, the route, and who has joined it."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from std_daq.diagnosis.finding import Finding, Level, judge
from std_daq.diagnosis.machine import Machine, read_number, read_text
from std_daq.packets.udp_place import UdpPlace

_SUBJECT = "multicast"
_FLAG_MULTICAST = 0x1000
_FLAG_LOOPBACK = 0x8
_STRICT = 1


def group(machine: Machine, place: UdpPlace) -> Iterator[Finding]:
    """Check whether packets to a group can come to this machine; yields nothing for other addresses."""
    if not place.is_group:
        return
    name = place.interface_name()
    if name is None:
        where = "by the route to it" if place.interface is None else f"at {place.interface}"
        yield Finding(_SUBJECT, Level.OK, f"the group {place.address} is joined {where}")
    else:
        yield from _interface(machine, name, place)
    if isinstance(place.address, IPv4Address):
        yield from _return_path(machine, name)
    joined = sorted(members(machine, place.address))
    text = f"joined at {', '.join(joined)}" if joined else "joined by nobody now, as it is while no receiver runs"
    yield Finding(_SUBJECT, Level.OK, f"the group {place.address} is {text}")


def members(machine: Machine, address: IPv4Address | IPv6Address) -> set[str]:
    """Return the interfaces of this machine at which a group is joined, from the tables of IGMP or MLD."""
    if isinstance(address, IPv6Address):
        rows = (line.split() for line in read_text(machine.proc / "net" / "igmp6").splitlines())
        return {row[1] for row in rows if len(row) > 2 and row[2] == address.packed.hex()}
    wanted = f"{int.from_bytes(address.packed, 'little'):08X}"
    found, name = set(), ""
    for line in read_text(machine.proc / "net" / "igmp").splitlines()[1:]:
        words = line.split()
        if not line.startswith("\t") and len(words) > 1:
            name = words[1].rstrip(":")
        elif words and words[0] == wanted:
            found.add(name)
    return found


def _interface(machine: Machine, name: str, place: UdpPlace) -> Iterator[Finding]:
    flags = int(read_text(machine.sys / "class" / "net" / name / "flags").strip() or "0", 16)
    takes = bool(flags & _FLAG_MULTICAST) or (bool(flags & _FLAG_LOOPBACK) and place.address.version == 4)
    yield judge(
        _SUBJECT,
        Level.OK if takes else Level.PROBLEM,
        f"{name} {'takes' if takes else 'takes no'} packets to groups",
        f"sudo ip link set {name} multicast on",
    )


def _return_path(machine: Machine, name: str | None) -> Iterator[Finding]:
    folder = machine.proc / "sys" / "net" / "ipv4" / "conf"
    # The larger one of both counts: 1 is strict, 2 is loose.
    values = [read_number(folder / one / "rp_filter") or 0 for one in ("all", name or "default")]
    yield judge(
        _SUBJECT,
        Level.WARNING if max(values) == _STRICT else Level.OK,
        f"the filter of return paths (rp_filter) is {max(values)}" + (f" at {name}" if name else ""),
        "it drops packets of a detector in another network, to which no route leads back through this interface: "
        f"sudo sysctl -w net.ipv4.conf.{name or 'default'}.rp_filter=2",
    )
