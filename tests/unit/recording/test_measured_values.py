"""Messages with measured values."""

import pytest

from std_daq.errors import RequestRefusedError
from std_daq.recording.measured_values import MAX_VALUES_A_MESSAGE, MeasuredValue, decode_values


@pytest.mark.parametrize("body", [b'{"name": "x", "value": 1}', b' [{"name": "x", "value": 1.0}]'])
def test_a_message_has_one_value_or_several(body: bytes) -> None:
    assert decode_values(body) == [MeasuredValue(name="x", value=1)]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'[{"name": "x", "value": 1}, {"name": "1x", "value": 1}]', "1: name: String should match"),
        (b'[{"name": "x", "value": "far"}]', "0: value: Input should be a valid number"),
        (b'[{"name": "x", "value": 1e999}]', "0: value: Input should be a finite number"),
        (b'{"name": "x"}', "value: Field required"),
        (b'{"name": "x", "value": 1, "unit": "mm"}', "unit: Extra inputs are not permitted"),
        (b"[1]", "0: Input should be an object"),
        (b"x = 1", "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[" + b",".join([b'{"name": "x", "value": 1}'] * (MAX_VALUES_A_MESSAGE + 1)) + b"]", "at most 1000 items"),
        (b"[" * 100_000, "Invalid JSON"),
    ],
)
def test_a_wrong_message_is_refused_with_the_place_of_the_mistake(body: bytes, problem: str) -> None:
    with pytest.raises(RequestRefusedError, match=f"^measured values: {problem}|^measured values: .*{problem}"):
        decode_values(body)
