"""Estimates of simulated tracks against what was simulated."""

import numpy as np
import pytest

from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.reconstruction.pipeline import Pipeline
from std_test_kit.chamber_events import attpc_with_invented_map, simulated_events

N_EVENTS = 24


@pytest.mark.long
def test_rigidity_and_polar_angle_are_those_that_were_simulated(tmp_path):
    plane = attpc_with_invented_map(tmp_path)
    pipeline = Pipeline(plane, AnalysisParameters())
    errors = []
    for event_id, (matrix, (track,)) in enumerate(simulated_events(plane, N_EVENTS, n_tracks=(1, 1))):
        for estimate in pipeline.run(event_id, 0, matrix).estimates:
            turn = (estimate["azimuthal"] - track.azimuthal + np.pi) % (2 * np.pi) - np.pi
            errors.append(
                (
                    abs(estimate["brho"] / track.brho - 1),
                    abs(np.degrees(estimate["polar"] - track.polar)),
                    abs(np.degrees(turn)),
                    abs(estimate["vertex_z"] - track.vertex_mm[2]),
                )
            )
    assert len(errors) > N_EVENTS * 2 / 3
    brho, polar_deg, azimuth_deg, z_mm = np.median(errors, axis=0)
    assert brho < 0.038
    assert polar_deg < 2.8
    assert azimuth_deg < 5
    assert z_mm < 25  # the response of the electronics peaks later than the charge comes
