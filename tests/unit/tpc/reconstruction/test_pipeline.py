import json

import numpy as np
import pytest

from std_daq.errors import ConfigError
from std_daq.tpc.pads.attpc_plane import attpc_positions
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.reconstruction.pipeline import PhaseError, Pipeline

PLANE = PadPlane(positions=attpc_positions(), beam_radius_mm=20.0)


def _matrix(n=80, seed=0):
    """Return an event without a map: channels of the first boards, each with one pulse."""
    random = np.random.default_rng(seed)
    matrix = np.zeros((n, 517), np.int16)
    channels = random.choice([c for c in range(4 * 68) if c % 68 not in (11, 22, 45, 56)], n, replace=False)
    matrix[:, 1], matrix[:, 2], matrix[:, 3] = 0, channels // 68, channels % 68
    matrix[:, 4] = channels
    matrix = matrix[np.argsort(matrix[:, 4])]
    matrix[:, 5:] = random.normal(300, 3, (n, 512))
    for row in matrix:
        place = random.integers(50, 450)
        row[5 + place - 3 : 5 + place + 4] += np.array([20, 100, 300, 500, 300, 100, 20], np.int16)
    return matrix


def _pipeline(**parameters):
    return Pipeline(PLANE, AnalysisParameters.model_validate(parameters))


def test_a_result_is_a_function_of_event_and_parameters():
    matrix = _matrix()
    one, again = (_pipeline(seed=4).run(17, 0, matrix) for _ in range(2))
    np.testing.assert_array_equal(one.cloud, again.cloud)
    assert len(one.cloud) > 50
    assert not np.array_equal(one.cloud, _pipeline(seed=5).run(17, 0, matrix).cloud)
    assert not np.array_equal(one.cloud, _pipeline(seed=4).run(18, 0, matrix).cloud)


def test_points_ascend_in_z_and_have_the_place_of_their_pad():
    matrix = _matrix()
    cloud = _pipeline().run(1, 0, matrix).cloud
    assert (np.diff(cloud[:, 2]) > 0).all()
    np.testing.assert_array_equal(cloud[:, :2], PLANE.positions[cloud[:, 5].astype(int)])
    assert (np.hypot(cloud[:, 0], cloud[:, 1]) >= 20.0).all()
    np.testing.assert_allclose(cloud[:, 2], (560 - cloud[:, 6]) / 550 * 1000)
    assert set(cloud[:, 7]) == {1.0}


def test_rows_of_noise_and_of_channels_without_a_pad_have_no_points():
    matrix = _matrix()
    pulse = np.array([20, 100, 300, 500, 300, 100, 20], np.int16)
    for place in (40, 110, 180, 250, 320, 390, 460):
        matrix[0, 5 + place : 12 + place] = 300 + pulse
    matrix[1, 3] = 11  # a channel for noise
    matrix[2, 0] = 300  # no such board
    with_all = set(_pipeline().run(1, 0, _matrix()).cloud[:, 5])
    without = set(_pipeline().run(1, 0, matrix).cloud[:, 5])
    assert not without & set(matrix[:3, 4].astype(float))
    assert without <= with_all


def test_an_event_without_traces_gives_an_empty_result():
    result = _pipeline().run(3, 2, np.empty((0, 517), np.int16))
    assert (result.id, result.epoch, result.n_traces) == (3, 2, 0)
    assert result.cloud.shape == (0, 8)
    assert len(result.labels) == len(result.estimates) == 0


def test_there_is_no_analysis_without_positions():
    with pytest.raises(ConfigError, match=r"pads\.geometry"):
        Pipeline(PadPlane(), AnalysisParameters())


OWN = """
import numpy as np

def near(event, *, radius_mm: float = 30.0):
    event.cloud = event.cloud[np.hypot(event.cloud[:, 0], event.cloud[:, 1]) < radius_mm]

def broken(event):
    raise KeyError("pad")
"""


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


def _with_own(file, function, **parameters):
    return ["cloud", {"file": str(file), "function": function, "parameters": parameters}, "clusters"]


def test_a_phase_of_the_user_changes_the_event(own):
    result = _pipeline(phases=_with_own(own, "near", radius_mm=100)).run(1, 0, _matrix())
    everything = _pipeline(phases=["cloud"]).run(1, 0, _matrix())
    assert 0 < len(result.cloud) < len(everything.cloud)
    assert len(result.labels) == len(result.cloud)
    assert len(_pipeline(phases=_with_own(own, "near")).run(1, 0, _matrix()).cloud) < len(result.cloud)


@pytest.mark.parametrize(
    ("function", "parameters", "message"),
    [
        ("missing", {}, "no function 'missing'"),
        ("near", {"radius_mm": "wide"}, "radius_mm"),
        ("near", {"radius": 3}, "near has the parameters radius_mm"),
    ],
)
def test_a_wrong_phase_of_the_user_is_told_at_once(own, function, parameters, message):
    with pytest.raises(ConfigError, match=message):
        _pipeline(phases=_with_own(own, function, **parameters))


def test_a_file_that_cannot_be_run_is_named(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("1 / 0")
    with pytest.raises(ConfigError, match=r"own\.py.*ZeroDivisionError"):
        _pipeline(phases=_with_own(file, "near"))


def test_a_phase_that_fails_names_itself_and_the_event(own):
    with pytest.raises(PhaseError, match="phase broken, event 9: KeyError"):
        _pipeline(phases=_with_own(own, "broken")).run(9, 0, _matrix())


def test_parameters_under_which_nothing_drifts_are_refused():
    with pytest.raises(ValueError, match="nothing would drift"):
        AnalysisParameters.model_validate(json.loads('{"detector": {"window_time_bucket": 10}}'))
