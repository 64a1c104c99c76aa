"""ChamberLayout: which views of a chamber there are, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from std_daq.tpc.histograms.definitions import DEFINITIONS, KINEMATICS, PARTICLE_ID, HistogramDefinition
from std_daq.tpc.view.histogram_drawing import FOLDERS
from std_daq.tpc.view.reading_drawing import BOARDS, LOGS, STATE, WAVEFORMS
from std_daq.tpc.view.timeline import EVENT_TIME

if TYPE_CHECKING:
    import rerun.blueprint as rrb
    from rerun import RecordingStream

APPLICATION: Final = "attpc_conduit_data"
"""What a viewer files the recordings under; the original's name, so that blueprints that people have made still fit."""

_SINGLE = tuple(one for one in DEFINITIONS if len(one.axes) == 1)


@dataclass(frozen=True, slots=True)
class ChamberLayout:
    """The views.

    Parameters
    ----------
    is_live
        Whether there are boards, waveforms and the last minutes as well, as in the view of a running chamber.
    """

    is_live: bool

    def draw(self, recording: RecordingStream) -> None:
        """Arrange the views."""
        import rerun.blueprint as rrb

        detector = rrb.Spatial3DView(name="Detector", origin="/", contents=["/event/**", "/bounds/**"])
        tabs: list[Any] = [
            _bar_charts("1D-Histograms", FOLDERS["run"]),
            _tensor("Kinematics", FOLDERS["run"], KINEMATICS),
            _tensor("Particle ID", FOLDERS["run"], PARTICLE_ID),
        ]
        if self.is_live:
            tabs += [
                rrb.Vertical(
                    rrb.Horizontal(
                        _tensor("Particle ID, last minutes", FOLDERS["recent"], PARTICLE_ID),
                        _tensor("Kinematics, last minutes", FOLDERS["recent"], KINEMATICS),
                    ),
                    _bar_charts("1D-Histograms, last minutes", FOLDERS["recent"]),
                    name="Last minutes",
                ),
                rrb.TextDocumentView(name="Boards", origin=BOARDS),
                rrb.BarChartView(name="Waveforms", origin=WAVEFORMS),
                rrb.Vertical(
                    rrb.TextDocumentView(name="View", origin=STATE),
                    rrb.TextDocumentView(name="Histograms of the run", origin=f"{FOLDERS['run']}/tally"),
                    rrb.TextDocumentView(name="Histograms of the last minutes", origin=f"{FOLDERS['recent']}/tally"),
                    name="State",
                ),
            ]
        tabs.append(rrb.TextLogView(name="Logs", origin=f"/{LOGS}"))
        blueprint = rrb.Blueprint(rrb.Horizontal(detector, rrb.Tabs(*tabs)), rrb.TimePanel(timeline=EVENT_TIME))
        recording.send_blueprint(blueprint)


def _bar_charts(name: str, folder: str) -> rrb.Grid:
    """Return a view for each histogram of one axis, as their axes differ."""
    import rerun.blueprint as rrb

    return rrb.Grid(*(rrb.BarChartView(name=one.title, origin=f"{folder}/{one.name}") for one in _SINGLE), name=name)


def _tensor(name: str, folder: str, definition: HistogramDefinition) -> rrb.TensorView:
    """Return a view with the first axis to the right and the second upwards."""
    import rerun.blueprint as rrb
    from rerun.encodings import TensorDimensionSelection

    return rrb.TensorView(
        name=name,
        origin=f"{folder}/{definition.name}",
        slice_selection=rrb.TensorSliceSelection(
            width=TensorDimensionSelection(dimension=0), height=TensorDimensionSelection(dimension=1, invert=True)
        ),
        view_fit="fill",
    )
