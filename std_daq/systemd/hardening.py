"""What a service may do on its server: nothing but what it says that it needs (`HostAccess`)."""

from collections.abc import Iterator
from pathlib import Path

from std_daq.service.host_access import FIRST_FREE_PORT, HostAccess
from std_daq.systemd.unit_text import words

# For all services. Not MemoryDenyWriteExecute: compiled code is made while the service runs.
_ALWAYS = (
    ("NoNewPrivileges", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("LockPersonality", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictNamespaces", "yes"),
    # Of the netlink ones the addresses of the machine are read.
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallErrorNumber", "EPERM"),
    ("KeyringMode", "private"),
)
HOMES = ("/home", "/root", "/run/user")


def hardening(
    access: HostAccess, writable: list[Path], *, uses_homes: bool, ports: list[int]
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a unit that bound a service.

    Parameters
    ----------
    access
        What the service needs.
    writable
        All folders to which it writes.
    uses_homes
        Whether files that it needs lie in home directories.
    ports
        All ports on which it listens.
    """
    yield from _ALWAYS
    yield from _files(access, writable, uses_homes=uses_homes)
    yield from _devices(access)
    if not access.sets_group_bit:
        yield "RestrictSUIDSGID", "yes"
    if not access.sees_processes:
        yield "ProtectProc", "invisible"
    capabilities = ["CAP_NET_BIND_SERVICE"] if any(0 < port < FIRST_FREE_PORT for port in ports) else []
    if access.acts_as_others:
        capabilities += ["CAP_SETUID", "CAP_SETGID"]
    yield "CapabilityBoundingSet", " ".join(capabilities)
    if capabilities:
        yield "AmbientCapabilities", " ".join(capabilities)


def _files(access: HostAccess, writable: list[Path], *, uses_homes: bool) -> Iterator[tuple[str, str]]:
    yield "PrivateTmp", "no" if access.shares_tmp else "yes"
    if access.is_bound_to:
        yield "ProtectSystem", "strict"
        yield "ProtectHome", "read-only" if uses_homes or access.reads_homes else "yes"
        if writable:
            # What is not there is left to the service, which says what is missing.
            yield "ReadWritePaths", words(f"-{path}" for path in writable)
    else:
        yield "ProtectSystem", "full"


def _devices(access: HostAccess) -> Iterator[tuple[str, str]]:
    if access.uses_any_device:
        return
    yield "PrivateDevices", "no" if access.devices else "yes"
    yield "DevicePolicy", "closed"
    for device in access.devices:
        yield "DeviceAllow", f"{device} rw"
