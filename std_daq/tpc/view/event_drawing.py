"""EventDrawing: the point cloud of an event, its clusters, and the circles of its tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.reconstruction.results import EventResult
from std_daq.tpc.view.label_colours import NOISE_CLASS, class_colours
from std_daq.tpc.view.timeline import EVENT_TIME, event_time
from std_daq.view3d.colours import viridis

if TYPE_CHECKING:
    import rerun as rr
    from rerun import RecordingStream

_RADIUS_MM = 2.0
_MM = 1000.0
# Half sizes and centre in mm of what is around all events: x, y, and z from the pads' end to the window.
_HALF_SIZES, _CENTRE = (300.0, 300.0, 500.0), (0.0, 0.0, 500.0)


@dataclass(frozen=True, slots=True)
class ChamberDrawing:
    """What does not change with events: axes, the chamber, and the colours of labels."""

    def draw(self, recording: RecordingStream) -> None:
        """Draw it for all times."""
        import rerun as rr

        recording.log("/", rr.ViewCoordinates.RIGHT_HAND_X_UP, static=True)
        box = rr.Boxes3D(half_sizes=[_HALF_SIZES], centers=[_CENTRE], fill_mode=rr.components.FillMode.MajorWireframe)
        recording.log("/bounds/box", box, static=True)
        recording.log("/event", rr.AnnotationContext(class_colours()), static=True)


@dataclass(frozen=True, slots=True)
class EventDrawing:
    """One event.

    Parameters
    ----------
    result
        What the reconstruction made of it.
    magnetic_field
        In T, for the radii of circles.
    """

    result: EventResult
    magnetic_field: float

    def draw(self, recording: RecordingStream) -> None:
        """Draw it at its place on the timeline, in place of the event before."""
        import rerun as rr

        result = self.result
        recording.set_time(EVENT_TIME, sequence=event_time(result.epoch, result.id))
        recording.log("/event", rr.Clear(recursive=True))
        points, classes = result.cloud[:, :3], _classes(result.labels)
        amplitudes = result.cloud[:, 3]
        largest = float(amplitudes.max()) if len(amplitudes) else 0.0
        colours = viridis(amplitudes / largest if largest > 0 else np.zeros(len(amplitudes)))
        recording.log("/event/cloud", rr.Points3D(points, radii=_RADIUS_MM, colors=colours))
        recording.log("/event/clusters", rr.Points3D(points, radii=_RADIUS_MM, class_ids=classes))
        recording.log("/event/circles", self._circles())

    def _circles(self) -> rr.Ellipsoids3D:
        import rerun as rr

        estimates = self.result.estimates
        radii = circle_radii(estimates, self.magnetic_field)
        centres = np.column_stack([estimates[name] for name in ("center_x", "center_y", "vertex_z")])
        is_known = np.isfinite(radii) & np.isfinite(centres).all(axis=1)
        half_sizes = np.column_stack([radii, radii, np.zeros(len(radii))])[is_known]
        classes = _classes(estimates["cluster_label"])[is_known]
        return rr.Ellipsoids3D(
            half_sizes=half_sizes,
            centers=centres[is_known],
            class_ids=classes,
            fill_mode=rr.components.FillMode.MajorWireframe,
        )


def circle_radii(estimates: NDArray[np.void], magnetic_field: float) -> NDArray[np.float64]:
    """Return the radii of tracks in mm: r = Brho sin(polar) / B."""
    radii: NDArray[np.float64] = estimates["brho"] / magnetic_field * _MM * np.sin(estimates["polar"])
    return np.abs(radii)


def _classes(labels: NDArray[Any]) -> NDArray[np.uint16]:
    return np.where(labels < 0, NOISE_CLASS, labels % NOISE_CLASS).astype(np.uint16)
