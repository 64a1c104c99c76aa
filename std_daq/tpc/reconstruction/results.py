"""EventResult: what the reconstruction makes of one event, and its form on a stream.

A message has four parts: a `RESULT_HEADER`, the cloud, the labels, and the estimates. The numbers in the header tell a
subscriber how many results it missed, and how many events were never analysed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from std_daq.config.paths import runtime_dir
from std_daq.config.platform import PlatformConfig

N_CLOUD_COLUMNS: Final = 8
CLOUD_COLUMNS: Final = ("x", "y", "z", "amplitude", "integral", "pad", "time", "scale")
CLOUD_POINT: Final = np.dtype("<f8")
LABEL: Final = np.dtype("<i4")
NOISE: Final = -1
"""Label of points that belong to no cluster."""

FORWARD, BACKWARD = 0, 1

ESTIMATE: Final = np.dtype(
    [
        ("event", "<i8"),
        ("cluster_index", "<i8"),
        ("cluster_label", "<i8"),
        ("orig_run", "<i8"),
        ("orig_event", "<i8"),
        ("ic_amplitude", "<f8"),
        ("ic_centroid", "<f8"),
        ("ic_integral", "<f8"),
        ("ic_multiplicity", "<f8"),
        ("vertex_x", "<f8"),
        ("vertex_y", "<f8"),
        ("vertex_z", "<f8"),
        ("center_x", "<f8"),
        ("center_y", "<f8"),
        ("center_z", "<f8"),
        ("polar", "<f8"),
        ("azimuthal", "<f8"),
        ("brho", "<f8"),
        ("dEdx", "<f8"),
        ("sqrt_dEdx", "<f8"),
        ("dE", "<f8"),
        ("arclength", "<f8"),
        ("direction", "<i8"),
    ]
)

RESULT_VERSION: Final = 1
RESULT_HEADER: Final = np.dtype(
    [
        ("version", "<u4"),
        ("epoch", "<u4"),
        ("id", "<u8"),
        ("sequence", "<u8"),  # of the event in its ring
        ("timestamp", "<u8"),  # ticks of 10 ns of the boards
        ("built_ns", "<u8"),  # clock of the builder, since 1970
        ("number", "<u8"),  # results before this one since the service started; a gap: the subscriber missed some
        ("n_left_out", "<u8"),  # events that were never analysed, since the service started
        ("analysis", "<u8"),  # when the service was started, in ns since 1970; another number: another analysis
        ("first_sequence", "<i8"),  # of the first event that the service accounts for
        ("revision", "<u4"),  # changes of the parameters before this result, since the service started
        ("n_traces", "<u4"),
        ("n_points", "<u4"),
        ("n_estimates", "<u4"),
        ("n_missing_boards", "<u4"),
        ("padding", "V36"),
    ]
)
assert RESULT_HEADER.itemsize == 128  # noqa: S101


@dataclass(frozen=True, slots=True)
class EventResult:
    """What the reconstruction makes of one event.

    Attributes
    ----------
    id, epoch
        Id of the event, and the number of runs before its own.
    cloud
        Points, float64 (N, 8): x, y, z in mm, amplitude, integral, pad, time in time buckets, scale; ascending z.
    labels
        int32 (N,): label of the cluster that each point ends in, as in the estimates; -1: none.
    estimates
        A record of `ESTIMATE` for each cluster that could be estimated, in the order of ``cluster_index``.
    sequence, timestamp, built_ns, n_traces, n_missing_boards
        Of the event, as the ring of events has them; 0 for an event of a file that does not have them.
    number, n_left_out, revision, analysis, first_sequence
        Numbers of the analysis service, as in `RESULT_HEADER`.
    """

    id: int
    epoch: int
    cloud: NDArray[np.float64]
    labels: NDArray[np.int32]
    estimates: NDArray[Any]
    sequence: int = 0
    timestamp: int = 0
    built_ns: int = 0
    n_traces: int = 0
    n_missing_boards: int = 0
    number: int = 0
    n_left_out: int = 0
    revision: int = 0
    analysis: int = 0
    first_sequence: int = 0

    @property
    def next_sequence(self) -> int:
        """How far the analysis has come: before it are its results until this one, and the events that it left out.

        They need not be those before this event, because the newest event is analysed first.
        """
        return self.first_sequence + self.number + 1 + self.n_left_out

    def of_ring(
        self, *, sequence: int, timestamp: int, built_ns: int, n_missing_boards: int, revision: int
    ) -> "EventResult":
        """Return the result with what the ring says of the event."""
        return replace(
            self,
            sequence=sequence,
            timestamp=timestamp,
            built_ns=built_ns,
            n_missing_boards=n_missing_boards,
            revision=revision,
        )

    def numbered(self, *, number: int, n_left_out: int, analysis: int, first_sequence: int) -> "EventResult":
        """Return the result with the numbers that the service gives it."""
        return replace(self, number=number, n_left_out=n_left_out, analysis=analysis, first_sequence=first_sequence)


def results_address(config: PlatformConfig) -> str:
    """Return the ZMQ address at which the analysis publishes the result of each event."""
    return f"ipc://{runtime_dir(config)}/results.ipc"


def no_cloud() -> NDArray[np.float64]:
    """Return a cloud without points."""
    return np.empty((0, N_CLOUD_COLUMNS))


def encode_result(result: EventResult) -> list[bytes]:
    """Return the four parts of a message."""
    header = np.zeros(1, RESULT_HEADER)
    header["version"] = RESULT_VERSION
    header["n_points"] = len(result.cloud)
    header["n_estimates"] = len(result.estimates)
    for name in _PLAIN_FIELDS:
        header[name] = getattr(result, name)
    return [
        header.tobytes(),
        np.ascontiguousarray(result.cloud, CLOUD_POINT).tobytes(),
        np.ascontiguousarray(result.labels, LABEL).tobytes(),
        np.ascontiguousarray(result.estimates, ESTIMATE).tobytes(),
    ]


def decode_result(parts: Sequence[bytes]) -> EventResult:
    """Return the result that a message holds; its arrays cannot be written.

    Raises
    ------
    ValueError
        The message is not a result of this version, or its parts do not have the lengths that its header gives.
    """
    if len(parts) != 4 or len(parts[0]) != RESULT_HEADER.itemsize:
        raise ValueError(f"a result has 4 parts, the first of {RESULT_HEADER.itemsize} bytes")
    header = np.frombuffer(parts[0], RESULT_HEADER)[0]
    if header["version"] != RESULT_VERSION:
        raise ValueError(f"version {header['version']} of a result is not known, only {RESULT_VERSION}")
    n_points, n_estimates = int(header["n_points"]), int(header["n_estimates"])
    wanted = (n_points * N_CLOUD_COLUMNS * CLOUD_POINT.itemsize, n_points * LABEL.itemsize)
    given = tuple(len(part) for part in parts[1:])
    if given != (*wanted, n_estimates * ESTIMATE.itemsize):
        raise ValueError(f"a result of {n_points} points and {n_estimates} estimates has parts of {given} bytes")
    return EventResult(
        cloud=np.frombuffer(parts[1], CLOUD_POINT).reshape(n_points, N_CLOUD_COLUMNS),
        labels=np.frombuffer(parts[2], LABEL),
        estimates=np.frombuffer(parts[3], ESTIMATE),
        **{name: int(header[name]) for name in _PLAIN_FIELDS},
    )


_PLAIN_FIELDS = (
    *("id", "epoch", "sequence", "timestamp", "built_ns", "n_traces", "n_missing_boards"),
    *("number", "n_left_out", "revision", "analysis", "first_sequence"),
)
