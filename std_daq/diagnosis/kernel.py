"""Checks of the kernel's limits: socket buffers, packet queues, open files."""

import resource
from collections.abc import Iterator

from std_daq.diagnosis.finding import Finding, Level, judge
from std_daq.diagnosis.machine import Machine

MIN_BACKLOG = 10_000
MIN_FILES = 1024
DEFAULT_SOCKET_BYTES = 64 * 2**20


def socket_buffer(machine: Machine, wanted_bytes: int) -> Iterator[Finding]:
    """Check whether receiving sockets get a buffer of the configured size."""
    limit = machine.sysctl("net.core.rmem_max")
    if limit is None:
        yield Finding("socket buffers", Level.WARNING, "net.core.rmem_max cannot be read here", "check it on the host")
        return
    level = Level.OK if limit >= wanted_bytes else Level.WARNING
    yield judge(
        "socket buffers",
        level,
        f"net.core.rmem_max is {limit}; udp.socket_buffer_bytes asks for {wanted_bytes}",
        f"sudo sysctl -w net.core.rmem_max={wanted_bytes} (and in /etc/sysctl.d/); not needed for receivers with "
        "CAP_NET_ADMIN",
    )


def packet_queue(machine: Machine) -> Iterator[Finding]:
    """Check the queue between the driver of the network card and the sockets."""
    backlog = machine.sysctl("net.core.netdev_max_backlog")
    if backlog is None:
        return
    level = Level.OK if backlog >= MIN_BACKLOG else Level.WARNING
    yield judge(
        "packet queue",
        level,
        f"net.core.netdev_max_backlog is {backlog}",
        f"sudo sysctl -w net.core.netdev_max_backlog={10 * MIN_BACKLOG} (and in /etc/sysctl.d/)",
    )
    squeezed = _softnet_drops(machine)
    if squeezed:
        yield Finding(
            "packet queue",
            Level.WARNING,
            f"{squeezed} packets were dropped from this queue since the machine was started",
            "raise net.core.netdev_max_backlog and net.core.netdev_budget, and spread the card's interrupts over CPUs",
        )


def limits() -> Iterator[Finding]:
    """Check the limits of a process."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    level = Level.OK if files == resource.RLIM_INFINITY or files >= MIN_FILES else Level.WARNING
    yield judge("open files", level, f"a process may open {_limit(files)} files", f"ulimit -n {4 * MIN_FILES}")
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    yield Finding("locked memory", Level.OK, f"a process may lock {_limit(locked)} bytes; rings need not be locked")


def _limit(value: int) -> str:
    return "any number of" if value == resource.RLIM_INFINITY else str(value)


def _softnet_drops(machine: Machine) -> int:
    """Return the second column of /proc/net/softnet_stat, summed over the CPUs."""
    try:
        lines = (machine.proc / "net" / "softnet_stat").read_text().splitlines()
        return sum(int(line.split()[1], 16) for line in lines)
    except (OSError, ValueError, IndexError):
        return 0
