"""The messages of the panels: header and arrays come out as they went in."""

import json

import numpy as np
import pytest

from std_web.panels.arrays_message import decode_arrays, encode_arrays


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "<u4", "<f4", ">f8"])
def test_header_and_arrays_come_out_as_they_went_in(dtype: str) -> None:
    sent = {"a": np.arange(15, dtype=dtype).reshape(3, 5), "b": np.arange(3, dtype=np.uint8), "empty": np.empty((0, 4))}
    header, arrays = decode_arrays(encode_arrays({"word": "ü", "n": 3}, sent))
    assert header == {"word": "ü", "n": 3}
    for name, array in sent.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype.name == array.dtype.name


@pytest.mark.parametrize("n", range(9))
def test_each_array_lies_at_a_multiple_of_8_bytes(n: int) -> None:
    message = encode_arrays({"text": "x" * n}, {"a": np.zeros(n, np.uint8), "b": np.full(1, 7.0)})
    end = 8 + int.from_bytes(message[4:8], "little")
    begin = -(-end // 8) * 8
    entry = json.loads(message[8:end])["arrays"][1]
    assert entry["offset"] % 8 == 0
    assert np.frombuffer(message, "<f8", 1, begin + entry["offset"])[0] == 7.0


def test_columns_of_a_larger_array_come_out_in_order() -> None:
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    _, arrays = decode_arrays(encode_arrays({}, {"part": table[:, 1:3]}))
    np.testing.assert_array_equal(arrays["part"], table[:, 1:3])


def test_header_with_a_number_that_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_arrays({"x": float("nan")}, {})


def test_other_bytes_are_no_message() -> None:
    with pytest.raises(ValueError, match="SDP1"):
        decode_arrays(b"PNG....")
