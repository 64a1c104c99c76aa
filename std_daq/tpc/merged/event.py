"""MergedEvent: an event as it was read from a merged file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FribPhysics:
    """What the other acquisition (FRIBDAQ) recorded of an event.

    Attributes
    ----------
    id
        Its number in that acquisition; None if the file has none.
    timestamp
        Its time there; None if the file has none.
    modules
        Data of each module by its name in the file: ``977`` (coincidence register), ``1903`` (samples, 8), and in
        layout 2.0 ``1904`` to ``1906``.
    """

    id: int | None
    timestamp: int | None
    modules: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class MergedEvent:
    """One event of a merged file.

    Attributes
    ----------
    n
        Number of the event in the file.
    traces
        int16 (n_traces, 517): cobo, asad, aget, channel, pad, 512 samples, in the order of the file. No rows if the
        event has no data of the chamber.
    id, timestamp, timestamp_other
        Id of the event in its frames, and its two times in ticks of 10 ns; None if there are no data of the chamber.
    silicon
        Traces of the silicon detectors by their names, ``si_upstream_front`` and so on; layout 2.0 only.
    epoch
        Number of runs before that of the event; None if the file does not tell.
    is_complete
        Whether all boards are there; None if the file does not tell.
    missing_boards
        The boards that are missing, rows (cobo, asad), uint8 (k, 2); None if the file does not tell.
    frib
        What the other acquisition recorded; None if the event has nothing of it.
    checksum
        Checksum of the traces of all datasets, one behind the other; None if the file does not tell.
    orig_run, orig_event
        Run and event from which the harmonizer took the event; None in other files.
    """

    n: int
    traces: NDArray[Any]
    id: int | None = None
    timestamp: int | None = None
    timestamp_other: int | None = None
    silicon: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    epoch: int | None = None
    is_complete: bool | None = None
    missing_boards: NDArray[Any] | None = None
    frib: FribPhysics | None = None
    checksum: int | None = None
    orig_run: int | None = None
    orig_event: int | None = None

    @property
    def has_get(self) -> bool:
        """Whether the event has data of the chamber; an event of the other acquisition alone has none."""
        return self.id is not None
