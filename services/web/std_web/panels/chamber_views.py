"""What one browser looks at of a chamber: its newest event, and its histograms."""

import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.histograms.definitions import DEFINITIONS, HistogramDefinition
from std_daq.tpc.reconstruction.results import NOISE, EventResult
from std_daq.tpc.view.event_drawing import circle_radii
from std_web.panels.arrays_message import encode_arrays
from std_web.panels.chamber_link import ChamberLink

MAX_POINTS: Final = 30_000
_MAX_BINS = 128
_SCOPES = ("run", "recent")
_NS = 1e9
_FIGURES = ("brho", "polar", "azimuthal", "dEdx", "arclength", "vertex_x", "vertex_y", "vertex_z")
_CENTRE = ("center_x", "center_y", "vertex_z")


class EventPanelView:
    """The newest event that one browser has not seen.

    Parameters
    ----------
    link
        The chamber.
    """

    def __init__(self, link: ChamberLink) -> None:
        self._link = link
        self._seen: EventResult | None = None

    def wish(self, message: dict[str, Any]) -> None:
        """Nothing can be chosen: the browser turns and colours the event itself."""

    def newest(self) -> bytes | None:
        """Return the newest event; None if the browser has it."""
        result = self._link.results.newest
        if result is None or result is self._seen:
            return None
        self._seen = result
        return event_message(result, self._link.config.analysis.detector.magnetic_field)

    def state(self) -> dict[str, Any]:
        """Return whether events can come."""
        return _state(self._link)


class HistogramPanelView:
    """The histograms, when they have changed since one browser has seen them.

    Parameters
    ----------
    link
        The chamber.
    """

    def __init__(self, link: ChamberLink) -> None:
        self._link = link
        self._scope = _SCOPES[0]
        self._seen: tuple[object, ...] | None = None
        self._seen_s = 0.0

    def wish(self, message: dict[str, Any]) -> None:
        """Take whether the browser shows a run or the last minutes."""
        if message.get("scope") not in _SCOPES:
            raise ValueError(f"scope is one of {', '.join(_SCOPES)}")
        self._scope = message["scope"]
        self._seen = None

    def newest(self) -> bytes | None:
        """Return the histograms; None if the browser has them."""
        version = (*self._link.results.version, self._scope)
        # Events leave the last minutes also while none comes.
        is_old = self._scope == "recent" and time.monotonic() - self._seen_s > 1.0
        if version == self._seen and not is_old:
            return None
        self._seen, self._seen_s = version, time.monotonic()
        return histogram_message(self._link, self._scope)

    def state(self) -> dict[str, Any]:
        """Return whether events can come."""
        return _state(self._link)


def event_message(result: EventResult, magnetic_field: float) -> bytes:
    """Return the message of an event: points in mm, amplitudes, labels, and figures of its clusters.

    Of an event with more than `MAX_POINTS` points, as many are sent, evenly taken.
    """
    n_points = len(result.cloud)
    step = max(1, -(-n_points // MAX_POINTS))
    cloud, labels = result.cloud[::step], result.labels[::step]
    header = {
        "id": result.id,
        "epoch": result.epoch,
        "built": result.built_ns / _NS if result.built_ns else None,
        "n_points": n_points,
        "n_shown": len(cloud),
        "n_noise": int((result.labels == NOISE).sum()),
        "n_traces": result.n_traces,
        "n_missing_boards": result.n_missing_boards,
        "revision": result.revision,
        "clusters": _clusters(result, magnetic_field),
    }
    arrays: dict[str, NDArray[Any]] = {
        "points": cloud[:, :3].astype(np.float32),
        "amplitudes": cloud[:, 3].astype(np.float32),
        "labels": labels,
    }
    return encode_arrays(header, arrays)


def histogram_message(link: ChamberLink, scope: str) -> bytes:
    """Return the message of all histograms; those of two axes have at most 128 or so bins along each."""
    found = link.results.histograms("run" if scope == "run" else "recent")
    described, arrays = [], {}
    for definition in DEFINITIONS:
        counts = _fewer_bins(found.counts[definition.name])
        arrays[definition.name] = counts
        described.append(_description(definition, counts.shape, found.n_outside[definition.name]))
    header = {
        "scope": scope,
        "epoch": found.epoch,
        "window_s": found.window_s,
        "n_events": found.tally.n_events,
        "n_left_out": found.tally.n_left_out,
        "n_estimates": found.tally.n_estimates,
        "histograms": described,
    }
    return encode_arrays(header, arrays)


def _clusters(result: EventResult, magnetic_field: float) -> list[dict[str, Any]]:
    estimates = result.estimates
    radii = circle_radii(estimates, magnetic_field)
    clusters = []
    for estimate, radius in zip(estimates, radii, strict=True):
        label = int(estimate["cluster_label"])
        circle = [*(float(estimate[name]) for name in _CENTRE), float(radius)]
        clusters.append(
            {
                "label": label,
                "n_points": int((result.labels == label).sum()),
                "circle": circle if np.isfinite(circle).all() else None,
                **{name: _finite(estimate[name]) for name in _FIGURES},
            }
        )
    return clusters


def _description(definition: HistogramDefinition, shape: tuple[int, ...], n_outside: int) -> dict[str, Any]:
    axes = [
        {"title": axis.title, "unit": axis.unit, "low": axis.low, "high": axis.high, "n_bins": n}
        for axis, n in zip(definition.axes, shape, strict=True)
    ]
    return {"name": definition.name, "title": definition.title, "axes": axes, "n_outside": n_outside}


def _fewer_bins(counts: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return counts of two axes in larger bins, whose sides are the smallest that give no more than 128 of them."""
    if counts.ndim == 1:
        return counts
    for axis, length in enumerate(counts.shape):
        n = next(n for n in range(1, length + 1) if length % n == 0 and length // n <= _MAX_BINS)
        counts = np.add.reduceat(counts, np.arange(0, length, n), axis=axis, dtype=np.uint32)
    return counts


def _state(link: ChamberLink) -> dict[str, Any]:
    why = link.why_not()
    return {"word": "waiting" if why else "live", "message": why}


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
