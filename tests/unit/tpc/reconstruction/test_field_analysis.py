"""Baselines, clouds, clusters and estimates against those of attpc_spyral 0.18.0, event by event."""

import json

import numpy as np
import pytest

from std_daq.tpc.pads.attpc_plane import attpc_positions, attpc_scales
from std_daq.tpc.pads.channel_map import read_channel_map
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.reconstruction.peaks import remove_baselines
from std_daq.tpc.reconstruction.pipeline import Pipeline
from std_test_kit.field_analysis import needs_field_analysis, run_field_analysis
from std_test_kit.helix_events import channel_lines, helix_event

pytestmark = [pytest.mark.long, needs_field_analysis]
N_EVENTS = 12
CONTINUITY = {"overlap_join": None, "continuity_join": {"join_radius_fraction": 0.4, "join_z_fraction": 0.2}}


@pytest.fixture(scope="module")
def events():
    return {100 + seed: helix_event(seed, n_tracks=3) for seed in range(N_EVENTS)}


@pytest.fixture
def plane(tmp_path):
    file = tmp_path / "map.csv"
    file.write_text("\n".join(channel_lines()))
    return PadPlane(read_channel_map(file), attpc_positions(), attpc_scales(), beam_radius_mm=20.0)


@pytest.mark.parametrize("cluster", [{}, CONTINUITY], ids=["overlap", "continuity"])
def test_everything_is_as_the_field_has_it(cluster, events, plane, tmp_path):
    parameters = AnalysisParameters.model_validate({"cluster": cluster, "seed": 11})
    theirs = run_field_analysis(tmp_path, events, parameters)
    pipeline = Pipeline(plane, parameters)
    n_clusters = n_estimates = 0
    for event_id, matrix in events.items():
        ours = pipeline.run(event_id, 0, matrix)
        traces = remove_baselines(matrix[:, 5:], parameters.get.baseline_window_scale)
        np.testing.assert_array_equal(traces, np.trunc(theirs[f"traces_{event_id}"]))
        np.testing.assert_allclose(ours.cloud, theirs[f"cloud_{event_id}"], rtol=1e-14)
        np.testing.assert_array_equal(ours.cloud[:, 3:5], theirs[f"cloud_{event_id}"][:, 3:5])
        labels = [label for label in theirs[f"labels_{event_id}"].tolist() if label >= 0]
        assert sorted(labels) == sorted(set(ours.labels.tolist()) - {-1})
        for index, label in enumerate(labels):
            np.testing.assert_allclose(ours.cloud[ours.labels == label, :3], theirs[f"track_{event_id}_{index}"])
        rows = json.loads(str(theirs[f"estimates_{event_id}"]))
        assert len(rows) == len(ours.estimates)
        for mine, row in zip(ours.estimates, rows, strict=True):
            for name in ours.estimates.dtype.names:
                assert mine[name] == pytest.approx(row[name], rel=1e-6, abs=1e-9), name
        n_clusters, n_estimates = n_clusters + len(labels), n_estimates + len(rows)
    assert n_clusters > N_EVENTS
    assert n_estimates > N_EVENTS / 2
