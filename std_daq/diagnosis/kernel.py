"""Limits of the kernel: socket buffers, packet queues, processes."""

import resource
from collections.abc import Iterator

from std_daq.diagnosis.finding import Finding, Level, judge
from std_daq.diagnosis.machine import Machine

LEAST_BACKLOG = 10_000
LEAST_FILES = 1024
DEFAULT_SOCKET_BYTES = 64 * 2**20


def socket_buffer(machine: Machine, wanted_bytes: int) -> Iterator[Finding]:
    """Judge whether receiving sockets get the buffer that is asked for."""
    limit = machine.sysctl("net.core.rmem_max")
    if limit is None:
        yield Finding(
            "socket buffers", Level.WARNING, "net.core.rmem_max cannot be read here", "look at it on the host"
        )
        return
    level = Level.OK if limit >= wanted_bytes else Level.WARNING
    yield judge(
        "socket buffers",
        level,
        f"net.core.rmem_max is {limit}, {wanted_bytes} are asked for with udp.socket_buffer_bytes",
        f"sudo sysctl -w net.core.rmem_max={wanted_bytes} (and in /etc/sysctl.d/); receivers with CAP_NET_ADMIN "
        "need it not",
    )


def packet_queue(machine: Machine) -> Iterator[Finding]:
    """Judge the queue between the network card's driver and the sockets."""
    backlog = machine.sysctl("net.core.netdev_max_backlog")
    if backlog is None:
        return
    level = Level.OK if backlog >= LEAST_BACKLOG else Level.WARNING
    yield judge(
        "packet queue",
        level,
        f"net.core.netdev_max_backlog is {backlog}",
        f"sudo sysctl -w net.core.netdev_max_backlog={10 * LEAST_BACKLOG} (and in /etc/sysctl.d/)",
    )
    squeezed = _softnet_drops(machine)
    if squeezed:
        yield Finding(
            "packet queue",
            Level.WARNING,
            f"{squeezed} packets were dropped there since the machine's start",
            "raise net.core.netdev_max_backlog and net.core.netdev_budget, spread the card's interrupts over CPUs",
        )


def limits() -> Iterator[Finding]:
    """Judge the limits of processes."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    level = Level.OK if files == resource.RLIM_INFINITY or files >= LEAST_FILES else Level.WARNING
    yield judge("open files", level, f"a process may open {_limit(files)}", f"ulimit -n {4 * LEAST_FILES}")
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
