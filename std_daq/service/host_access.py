"""HostAccess: what a service needs of the machine beside its rings, its runtime directory and the network.

Units of systemd give a service this and nothing else (`std_daq.systemd`).
"""

from dataclasses import dataclass
from pathlib import Path

FIRST_FREE_PORT = 1024
"""Only root, or a process with CAP_NET_BIND_SERVICE, may listen on a lower port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAccess:
    """What one service needs of the machine.

    Parameters
    ----------
    writes
        Folders below which it writes; relative ones are relative to the folder of the configuration.
    is_bound_to
        Whether it writes nowhere else. False if the configuration does not say where.
    state
        Files that must outlast a restart of the machine; their folders are written to.
    reads_homes
        Whether it reads in home directories, where others tell it to.
    user_id, groups
        User as whom it runs, if not that of the other services, and further groups.
    devices
        Devices that it uses, in the words of systemd's DeviceAllow, for example ``char-ttyACM``.
    uses_any_device
        Whether it uses devices that cannot be named before, such as those of a GPU.
    ports
        Ports on which it listens.
    sees_processes
        Whether it looks for processes of other users.
    shares_tmp
        Whether it meets other programs in /tmp.
    sets_group_bit
        Whether it makes folders with the set-group-ID bit.
    acts_as_others
        Whether it makes files in the name of other users.
    """

    writes: tuple[Path, ...] = ()
    is_bound_to: bool = True
    state: tuple[Path, ...] = ()
    reads_homes: bool = False
    user_id: int | None = None
    groups: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    uses_any_device: bool = False
    ports: tuple[int, ...] = ()
    sees_processes: bool = False
    shares_tmp: bool = False
    sets_group_bit: bool = False
    acts_as_others: bool = False


def ipc_folders(*addresses: str) -> tuple[Path, ...]:
    """Return the folders of the sockets among ZMQ addresses: of ``ipc://`` ones; others have none."""
    return tuple(Path(address.removeprefix("ipc://")).parent for address in addresses if address.startswith("ipc://"))
