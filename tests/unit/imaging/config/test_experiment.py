"""The section `experiment` of a request: what it takes, and what it says of what it does not take."""

from typing import Any

import pytest

from std_daq.errors import RequestRefusedError
from std_daq.imaging.config.experiment import Experiment
from std_daq.imaging.config.model import NexusConfig
from std_daq.recording.requests import parse_experiment

OMEGA = {"name": "omega", "vector": [-1, 0, 0], "start_deg": 10.0, "increment_deg": 0.1}


def refusal(**section: Any) -> str:
    with pytest.raises(RequestRefusedError) as caught:
        parse_experiment(section, Experiment)
    return str(caught.value)


def test_numbers_may_be_written_as_integers() -> None:
    experiment = parse_experiment({"distance_m": 1, "beam_center_px": [48, 32], "goniometer": [OMEGA]}, Experiment)
    assert (experiment.distance_m, experiment.beam_center_px) == (1.0, [48.0, 32.0])
    [axis] = experiment.goniometer
    assert (axis.is_rotation, axis.start, axis.increment, axis.values) == (True, 10.0, 0.1, None)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"distance_m": 0}, ["experiment.distance_m", "greater than 0", "got 0"]),
        ({"distance_m": 150.0}, ["experiment.distance_m", "100", "got 150"]),
        ({"distance_m": "0.15"}, ["experiment.distance_m", "number"]),
        ({"distance_m": True}, ["experiment.distance_m", "number"]),
        ({"distance_m": None, "wavelength_angstrom": -1.0}, ["experiment.wavelength_angstrom"]),
        ({"distance_m": float("nan")}, ["experiment.distance_m", "finite"]),
        ({"beam_center_px": [1.0]}, ["experiment.beam_center_px", "2 items"]),
        ({"beam_center_px": [1.0, float("inf")]}, ["experiment.beam_center_px.1", "finite"]),
        ({"transmission": 50.0}, ["experiment.transmission", "1"]),
        ({"sample_name": 7}, ["experiment.sample_name", "must be a text"]),
        ({"sample_name": "a\0b"}, ["experiment.sample_name"]),
        ({"sample_temperature_k": -3.0}, ["experiment.sample_temperature_k"]),
        ({"distance_mm": 150.0}, ["experiment.distance_mm", "unknown", "did you mean 'distance_m'", "user_metadata"]),
        ({"colour": "blue"}, ["experiment.colour", "known keys here", "wavelength_angstrom", "user_metadata"]),
        ({"wavelength_angstrom": 1.0, "photon_energy_ev": 12000.0}, ["exclude each other"]),
        ({"count_time_s": 0.2, "frame_time_s": 0.1}, ["count_time_s 0.2 is longer than frame_time_s 0.1"]),
        ({"underload_value": 9, "saturation_value": 8}, ["underload_value 9 is greater"]),
        ({"goniometer": OMEGA}, ["experiment.goniometer", "list"]),
        ({"goniometer": [OMEGA, OMEGA]}, ["a name is given twice in omega, omega"]),
        ({"goniometer": [OMEGA | {"name": "a/b"}]}, ["experiment.goniometer.0.name"]),
        ({"goniometer": [OMEGA | {"name": "omega_end"}]}, ["omega_end"]),
        ({"goniometer": [OMEGA | {"vector": [0, 0, 0]}]}, ["experiment.goniometer.0", "[0, 0, 0]"]),
        ({"goniometer": [OMEGA | {"vector": [1, 0]}]}, ["experiment.goniometer.0.vector", "3 items"]),
        ({"goniometer": [OMEGA | {"step_deg": 1.0}]}, ["goniometer.0.step_deg", "did you mean 'start_deg'"]),
        ({"goniometer": [OMEGA | {"values_deg": [1.0]}]}, ["either the start"]),
        ({"goniometer": [OMEGA | {"start_m": 1.0}]}, ["for a rotation, or the same in m"]),
        ({"goniometer": [{"name": "x", "vector": [1, 0, 0]}]}, ["give start_deg"]),
        ({"goniometer": [{"name": "x", "vector": [1, 0, 0], "increment_m": 1.0}]}, ["the start"]),
        ({"goniometer": [{"name": "x", "vector": [1, 0, 0], "values_m": []}]}, ["values_m"]),
    ],
)
def test_wrong_value_is_refused_by_name(section: dict[str, Any], words: list[str]) -> None:
    text = refusal(**section)
    assert [word for word in words if word not in text] == []


def test_the_request_goes_before_the_configuration() -> None:
    own = NexusConfig.model_validate({"distance_m": 0.2, "wavelength_angstrom": 1.0, "source_name": "SLS"})
    asked = parse_experiment({"distance_m": 0.15, "photon_energy_ev": 12398.419843320026}, Experiment)
    merged = own.with_experiment(asked)
    assert (merged.distance_m, merged.source_name) == (0.15, "SLS")
    assert merged.wavelength_angstrom is None
    assert merged.incident_wavelength_angstrom == 1.0
    assert own.with_experiment(Experiment()) == own


def test_a_null_leaves_the_value_of_the_configuration() -> None:
    own = NexusConfig.model_validate({"distance_m": 0.2})
    assert own.with_experiment(parse_experiment({"distance_m": None}, Experiment)).distance_m == 0.2
