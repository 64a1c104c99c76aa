"""The machine on which was measured: what one has to know to make sense of a figure."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from std_daq.diagnosis.machine import Machine, read_word

_LIMITS = ("net.core.rmem_max", "net.core.wmem_max", "net.core.netdev_max_backlog")
_LIBRARIES = ("std-daq", "numpy", "numba", "llvmlite", "h5py", "hdf5plugin", "pyzmq", "bitshuffle")


def describe_machine(folder: Path) -> dict[str, str | int | float]:
    """Return processor, memory, kernel, limits, versions and load of this machine.

    Parameters
    ----------
    folder
        Where files are measured; its file system is described, too.
    """
    machine = Machine()
    described: dict[str, str | int | float] = {
        "host": platform.node(),
        "processor": _processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(folder),
        "huge_pages_of_shared_memory": _chosen(machine.sys / "kernel/mm/transparent_hugepage/shmem_enabled"),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    for name in _LIMITS:
        limit = machine.sysctl(name)
        if limit is not None:
            described[name] = limit
    for library in _LIBRARIES:
        try:
            described[library] = version(library)
        except PackageNotFoundError:
            continue
    return described


def _processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _chosen(file: Path) -> str:
    """Return the chosen one of the words of a file in /sys, the one in brackets."""
    text = read_word(file)
    return text.partition("[")[2].partition("]")[0] or text


def _file_system(folder: Path) -> str:
    path = folder.resolve()
    partitions = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    return next((partitions[parent] for parent in (path, *path.parents) if parent in partitions), "unknown")
