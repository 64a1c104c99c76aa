"""From the halves of modules with two UDP interfaces to whole modules: their entries, and what is missing. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import ImageStatus

_MISSING_PACKETS = int(ImageStatus.MISSING_PACKETS)
_MISSING_MODULES = int(ImageStatus.MISSING_MODULES)
_ABSENT = _MISSING_MODULES | int(ImageStatus.OVERWRITTEN)


def join_submodules(entries: NDArray[Any], n_interfaces: int) -> NDArray[Any]:
    """Return the ModuleEntry of each module, from those of its submodules.

    The fields of the packets are those of the first submodule that is in the image. If only some of a module are, it is
    not a missing module, but one with missing packets.
    """
    of_modules = entries.reshape(-1, n_interfaces)
    statuses = of_modules["status"]
    is_absent = statuses & _ABSENT != 0
    modules: NDArray[Any] = of_modules[np.arange(len(of_modules)), np.argmin(is_absent, axis=1)].copy()
    modules["missing_packets"] = of_modules["missing_packets"].sum(axis=1)
    status = np.bitwise_or.reduce(statuses, axis=1)
    is_partial = is_absent.any(axis=1) & ~is_absent.all(axis=1)
    status[is_partial] = status[is_partial] & ~np.uint16(_MISSING_MODULES) | _MISSING_PACKETS
    modules["status"] = status
    return modules


def count_absent(entries: NDArray[Any], n_interfaces: int) -> tuple[int, int]:
    """Return the number of modules of which nothing came, and of others of which nothing is in the image."""
    statuses = entries["status"].reshape(-1, n_interfaces)
    n_missing = int((statuses & _MISSING_MODULES != 0).all(axis=1).sum())
    return n_missing, int((statuses & _ABSENT != 0).all(axis=1).sum()) - n_missing
