"""Pipeline: the phases of an analysis in their order.

::

    pipeline = Pipeline(load_pads(config.pads), config.analysis)
    result = pipeline.run(event.id, event.epoch, event.traces)
"""

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import StdDaqError
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.clusters import labels_of
from std_daq.tpc.reconstruction.own_phases import check_analysis, load_own_phase
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.reconstruction.peaks import event_generator
from std_daq.tpc.reconstruction.phases import PHASES, EventOnItsWay, Phase
from std_daq.tpc.reconstruction.results import EventResult


class PhaseError(StdDaqError):
    """A phase failed for an event; the message names both."""


class Pipeline:
    """The phases of an analysis; a result is a function of the event and the parameters, and of nothing else.

    Parameters
    ----------
    plane
        Pads of the chamber, with their positions.
    parameters
        Parameters of all phases.

    Raises
    ------
    ConfigError
        The pads have no positions, or a phase of the user's own cannot be used.
    """

    def __init__(self, plane: PadPlane, parameters: AnalysisParameters) -> None:
        check_analysis(plane, parameters)
        self._plane = plane
        self._parameters = parameters
        self._phases: list[tuple[str, Phase]] = [
            (one, PHASES[one]) if isinstance(one, str) else (one.function, load_own_phase(one))
            for one in parameters.phases
        ]

    def run(self, event_id: int, epoch: int, matrix: NDArray[np.int16]) -> EventResult:
        """Return what the phases make of an event, int16 (n_traces, 517).

        Raises
        ------
        PhaseError
            A phase failed.
        """
        event = EventOnItsWay(event_id, epoch, matrix, event_generator(self._parameters.seed, event_id))
        for name, phase in self._phases:
            try:
                phase(event, self._parameters, self._plane)
            except Exception as error:
                raise PhaseError(f"phase {name}, event {event_id}: {type(error).__name__}: {error}") from error
        return EventResult(
            id=event_id,
            epoch=epoch,
            cloud=event.cloud,
            labels=labels_of(event.clusters, len(event.cloud)),
            estimates=event.estimates,
            n_traces=len(matrix),
        )
