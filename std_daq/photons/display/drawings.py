"""Drawings of a detector, of the hits in it and of photons on their way, for Rerun.

Entities: ``/detector/...`` (what does not change), ``/hits/charge`` and ``/hits/time`` (channels that were hit),
``/unrolled/...`` (the same, with the wall laid flat), ``/hit_times`` (a histogram), ``/photons/<number>`` (ways), and,
for one event, ``/arriving`` (channels and photons as time goes on).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.display.photon_paths import PhotonPaths
from std_daq.photons.display.placed_meshes import PlacedMesh
from std_daq.photons.display.shown_hits import ShownHits
from std_daq.photons.flags import Flag
from std_daq.view3d.colours import GREY, Colours, spread, viridis

if TYPE_CHECKING:
    from rerun import Ellipsoids3D, RecordingStream

APPLICATION = "std-sim"
"""What a viewer files the drawings under."""

EVENT = "event"
"""Timeline: the number of the event."""

PHOTON_TIME = "photon_time"
"""Timeline of one event: since its begin."""

_COLOURS = {"plain": (150, 150, 150, 40), "covered": (31, 119, 180, 40), "detecting": (120, 120, 120, 255)}
_END_COLOURS = {
    Flag.SURFACE_DETECT: (44, 160, 44),
    Flag.SURFACE_ABSORB: (31, 119, 180),
    Flag.BULK_ABSORB: (255, 127, 14),
    Flag.NO_HIT: GREY,
}
_ALIVE_COLOUR = (214, 39, 40)
_N_TIMES = 120
_LATE = 99.0  # percent of the hits that the steps of time are spread over
_N_BINS = 100
_LARGER = 1.05  # a ball that shows a hit covers the sensor


@dataclass(frozen=True, slots=True)
class DetectorDrawing:
    """Boundaries as meshes, and sensors as points on the unrolled wall."""

    meshes: Sequence[PlacedMesh]
    flat: NDArray[np.float64]

    def draw(self, recording: RecordingStream) -> None:
        """Draw what does not change with events."""
        import rerun as rr

        recording.log("/", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        for mesh in self.meshes:
            corners = mesh.triangles.reshape(-1, 3)
            recording.log(
                f"/detector/{mesh.name}",
                rr.Mesh3D(vertex_positions=corners, albedo_factor=_COLOURS[mesh.kind]),
                rr.InstancePoses3D(translations=mesh.positions, mat3x3=mesh.turns),
                static=True,
            )
        recording.log("/unrolled/channels", rr.Points2D(_downwards(self.flat), colors=GREY), static=True)


@dataclass(frozen=True, slots=True)
class HitsDrawing:
    """Which channels were hit in each event: how often, and when first.

    Parameters
    ----------
    positions, radii
        Of the channels, in mm.
    flat
        Where they are on the unrolled wall.
    """

    hits: ShownHits
    positions: NDArray[np.float64]
    radii: NDArray[np.float64]
    flat: NDArray[np.float64]

    def draw(self, recording: RecordingStream) -> None:
        """Draw each event at its place on the timeline."""
        import rerun as rr

        n_channels = len(self.positions)
        for event, hits in self.hits.by_event():
            recording.set_time(EVENT, sequence=event)
            counts, first = hits.counts(n_channels), hits.first_times(n_channels)
            hit = np.flatnonzero(counts)
            self._draw_channels(recording, "charge", hit, viridis(spread(counts[hit].astype(np.float64))))
            self._draw_channels(recording, "time", hit, viridis(spread(first[hit])))
            heights, edges = np.histogram(hits.times, bins=_N_BINS)
            middles = (edges[:-1] + edges[1:]) / 2
            recording.log("/hit_times", rr.BarChart(heights, abscissa=middles, widths=np.diff(edges)))

    def balls(self, channels: NDArray[np.int64], colours: Colours) -> Ellipsoids3D:
        """Return balls around sensors; the spheres of points would hide in these, as they are flat."""
        import rerun as rr

        half_sizes = np.repeat(self.radii[channels, None] * _LARGER, 3, axis=1)
        return rr.Ellipsoids3D(
            centers=self.positions[channels],
            half_sizes=half_sizes,
            colors=colours,
            fill_mode=rr.components.FillMode.Solid,
        )

    def _draw_channels(self, recording: RecordingStream, name: str, hit: NDArray[np.int64], colours: Colours) -> None:
        import rerun as rr

        recording.log(f"/hits/{name}", self.balls(hit, colours), rr.AnyValues(channel=hit))
        recording.log(
            f"/unrolled/{name}", rr.Points2D(_downwards(self.flat[hit]), radii=self.radii[hit], colors=colours)
        )


@dataclass(frozen=True, slots=True)
class PathsDrawing:
    """The ways of chosen photons, coloured by how they ended."""

    paths: PhotonPaths

    def draw(self, recording: RecordingStream) -> None:
        """Draw the ways at the place of their event on the timeline."""
        import rerun as rr

        recording.set_time(EVENT, sequence=self.paths.event)
        for path in self.paths.paths:
            text = f"photon {path.number}: {path.end.name if path.end else 'alive'} after {path.times[-1]:.1f} ns"
            colour = _END_COLOURS.get(path.end, _ALIVE_COLOUR) if path.end else _ALIVE_COLOUR
            strip = rr.LineStrips3D([path.points], colors=[colour], labels=[text], show_labels=False)
            recording.log(f"/photons/{path.number}", strip)


@dataclass(frozen=True, slots=True)
class ArrivalDrawing:
    """One event as time goes on: the channels that were hit so far, and where photons are."""

    event: HitsDrawing
    paths: PhotonPaths | None

    def draw(self, recording: RecordingStream) -> None:
        """Draw each step of time."""
        import rerun as rr

        recording.reset_time()
        first = self.event.hits.first_times(len(self.event.positions))
        colours = np.zeros((len(first), 3), np.uint8)
        colours[np.isfinite(first)] = viridis(spread(first[np.isfinite(first)]))
        for time in self._times():
            recording.set_time(PHOTON_TIME, duration=np.timedelta64(round(time), "ns"))
            hit = np.flatnonzero(first <= time)
            recording.log("/arriving/channels", self.event.balls(hit, colours[hit]))
            if self.paths is not None:
                places = [path.at(time) for path in self.paths.paths]
                recording.log(
                    "/arriving/photons", rr.Points3D(places, radii=rr.Radius.ui_points(4), colors=(255, 255, 0))
                )
        recording.reset_time()

    def _times(self) -> NDArray[np.float64]:
        """Return steps of a whole number of ns from 0 until nearly all light has arrived."""
        ends = [path.times[-1] for path in self.paths.paths] if self.paths else []
        known = np.concatenate([self.event.hits.times, ends])
        last = float(np.percentile(known, _LATE)) if len(known) else 0.0
        return np.arange(0.0, last + 1, max(1.0, np.ceil(last / _N_TIMES)))


@dataclass(frozen=True, slots=True)
class ViewLayout:
    """Which views there are: in three dimensions, the unrolled wall, and the times of hits."""

    has_arrival: bool

    def draw(self, recording: RecordingStream) -> None:
        """Arrange the views."""
        import rerun.blueprint as rrb

        detector = ["/detector/**", "/photons/**"]
        spaces = [
            rrb.Spatial3DView(name="Charge", origin="/", contents=[*detector, "/hits/charge"]),
            rrb.Spatial3DView(name="First hit", origin="/", contents=[*detector, "/hits/time"]),
        ]
        if self.has_arrival:
            spaces.append(
                rrb.Spatial3DView(name="As time goes on", origin="/", contents=["/detector/**", "/arriving/**"])
            )
        walls = [
            rrb.Spatial2DView(name=f"{title}, unrolled", origin="/unrolled", contents=["/unrolled/channels", entity])
            for title, entity in (("Charge", "/unrolled/charge"), ("First hit", "/unrolled/time"))
        ]
        times = rrb.BarChartView(name="Times of hits [ns]", origin="/hit_times")
        views = rrb.Horizontal(
            rrb.Tabs(*spaces), rrb.Vertical(rrb.Tabs(*walls), times, row_shares=[2, 1]), column_shares=[3, 2]
        )
        recording.send_blueprint(rrb.Blueprint(views, rrb.TimePanel(state="expanded", timeline=EVENT)))


def _downwards(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places with y downwards, as pictures have it."""
    return flat * [1, -1]
