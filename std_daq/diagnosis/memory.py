"""Checks of shared memory and disks: whether the rings fit into memory, and whether there is space for files."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from std_daq.diagnosis.finding import Finding, Level, judge
from std_daq.diagnosis.machine import Machine
from std_daq.imaging.config.paths import frame_buffer_path, image_buffer_path
from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.start_checks import planned_bytes
from std_daq.recording.config import RecordingConfig
from std_daq.recording.locks import has_locks

GB = 1e9
_MIN_SHARE_FREE = 0.1


def shared_memory(machine: Machine, detector: Detector | None, directory: Path) -> Iterator[Finding]:
    """Check whether the rings fit into the directory and into memory."""
    try:
        space = shutil.disk_usage(directory)
    except OSError:
        return  # a problem of the start, which its own check tells
    if detector is None:
        yield Finding("shared memory", Level.OK, f"{directory}: {_of(space.free, space.total)} free")
        return
    paths = (frame_buffer_path(detector.config), image_buffer_path(detector.config))
    # Existing rings are reused or replaced, so their space counts as free.
    there = sum(path.stat().st_size for path in paths if path.is_file())
    wanted = planned_bytes(detector.config, detector)
    room = min(space.free + there, space.total)
    if wanted <= room:
        text = f"{directory}: the rings need {wanted / GB:.2f} GB; {_of(room, space.total)} are free for them"
        yield Finding("shared memory", Level.OK, text)
    available = machine.memory_bytes("MemAvailable")
    if available is not None:
        more = max(0, wanted - there)
        need = f"the rings need {more / GB:.2f} GB more" if more else "the rings are there already"
        yield judge(
            "memory",
            Level.OK if more <= available else Level.PROBLEM,
            f"{available / GB:.2f} GB are available; {need}",
            "make ram_buffer_gb and shared_memory.frame_buffer_gb smaller, or end other programs",
        )


def huge_pages(machine: Machine) -> Iterator[Finding]:
    """Report huge pages, because rings may be on a hugetlbfs mount."""
    pages, size = machine.memory_bytes("HugePages_Free"), machine.memory_bytes("Hugepagesize")
    if pages and size:
        yield Finding("huge pages", Level.OK, f"{pages} of {size // 2**20} MiB are free (see shared_memory.directory)")
    elif pages is not None:
        yield Finding("huge pages", Level.OK, "none are reserved; rings use ordinary pages")


def disks(config: RecordingConfig) -> Iterator[Finding]:
    """Check free space and rights in the output directories."""
    for root in config.writer.output_roots:
        if not root.is_dir():
            continue  # a problem of the start, which its own check tells
        if os.access(root, os.W_OK | os.X_OK) and not has_locks(root):
            text = f"{root}: its file system has no locks; files are written without them"
            remedy = "start the lock service of NFS, or set HDF5_USE_FILE_LOCKING=FALSE for the programs that read"
            yield Finding("disk", Level.WARNING, text, remedy)
        space = shutil.disk_usage(root)
        if space.free < config.writer.min_free_gb * GB:
            level = Level.PROBLEM
        else:
            level = Level.WARNING if space.free < _MIN_SHARE_FREE * space.total else Level.OK
        text = f"{root}: {_of(space.free, space.total)} free; a run must leave {config.writer.min_free_gb} GB free"
        yield judge("disk", level, text, "delete files; the writer refuses requests if the disk is too full")
    if not config.writer.output_roots:
        yield Finding(
            "disk",
            Level.WARNING,
            "writer.output_roots is not set: requests may name any path that the writer may write to",
            "set writer.output_roots to the directories of the data",
        )


def _of(part: float, total: float) -> str:
    return f"{part / GB:.2f} of {total / GB:.2f} GB"
