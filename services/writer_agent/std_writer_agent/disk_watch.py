"""DiskWatch: how much room is left where runs are written, as metrics."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Thread
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge


class DiskSpace(Protocol):
    """The size of a disk and what is free of it, in bytes."""

    @property
    def total(self) -> int:
        """Size of the disk."""

    @property
    def free(self) -> int:
        """What an ordinary user may still write."""


class DiskWatch:
    """Looks at the disks of the output roots once in a period, until `close`.

    A network disk that hangs holds up this object's own thread, and neither a run nor an answer to Prometheus.

    Parameters
    ----------
    registry
        Registry of the process.
    output_roots
        Folders below which runs are written.
    period_s
        Time between two looks, in seconds.
    disk_space
        Returns the space of the disk that holds a folder; raises OSError.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        output_roots: Sequence[str],
        period_s: float = 10.0,
        disk_space: Callable[[str], DiskSpace] = shutil.disk_usage,
    ) -> None:
        self._free = Gauge(
            "daq_disk_free_bytes", "Room that is left on the disk of an output root.", ["root"], registry=registry
        )
        self._size = Gauge("daq_disk_size_bytes", "Size of the disk of an output root.", ["root"], registry=registry)
        self._roots = output_roots
        self._period_s = period_s
        self._disk_space = disk_space
        self._end = Event()
        self._thread = Thread(target=self._watch, name="disk-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking; a look that hangs is left behind."""
        self._end.set()
        self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        while True:
            for root in self._roots:
                self._look(root)
            if self._end.wait(self._period_s):
                return

    def _look(self, root: str) -> None:
        try:
            space = self._disk_space(root)
        except OSError:
            # What is not known is not shown: an old figure would look like room.
            with suppress(KeyError):
                self._free.remove(root)
                self._size.remove(root)
            return
        self._free.labels(root).set(space.free)
        self._size.labels(root).set(space.total)
