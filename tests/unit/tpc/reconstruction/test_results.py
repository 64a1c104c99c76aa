import dataclasses

import numpy as np
import pytest

from std_daq.tpc.reconstruction.results import (
    ESTIMATE,
    RESULT_HEADER,
    EventResult,
    decode_result,
    encode_result,
    no_cloud,
)


def _result():
    rng = np.random.default_rng(1)
    estimates = np.zeros(2, ESTIMATE)
    estimates["event"], estimates["brho"], estimates["direction"] = 70_001, (0.4, 1.2), (0, 1)
    return EventResult(
        id=70_001,
        epoch=3,
        cloud=rng.random((5, 8)),
        labels=np.array([0, 0, 1, -1, 1], np.int32),
        estimates=estimates,
        sequence=2**40,
        timestamp=12,
        built_ns=2**60,
        n_traces=4,
        n_missing_boards=1,
        number=9,
        n_left_out=2,
        revision=7,
        analysis=2**60 + 1,
        first_sequence=-5,
    )


def test_a_result_comes_back_from_its_message():
    sent = _result()
    received = decode_result(encode_result(sent))
    for field in dataclasses.fields(EventResult):
        np.testing.assert_array_equal(getattr(received, field.name), getattr(sent, field.name), err_msg=field.name)
    assert received.cloud.dtype == sent.cloud.dtype
    assert received.estimates.dtype == ESTIMATE


def test_a_result_without_points_comes_back():
    sent = EventResult(0, 0, no_cloud(), np.empty(0, np.int32), np.empty(0, ESTIMATE))
    received = decode_result(encode_result(sent))
    assert received.cloud.shape == (0, 8)
    assert len(received.labels) == len(received.estimates) == 0


@pytest.mark.parametrize("index", range(4))
def test_a_message_that_was_cut_is_refused(index):
    parts = encode_result(_result())
    parts[index] = parts[index][:-1]
    with pytest.raises(ValueError, match="parts"):
        decode_result(parts)
    with pytest.raises(ValueError, match="has 4 parts"):
        decode_result(encode_result(_result())[:-1])


def test_a_message_of_another_version_is_refused():
    parts = encode_result(_result())
    header = np.frombuffer(bytearray(parts[0]), RESULT_HEADER)
    header["version"] = 2
    with pytest.raises(ValueError, match="version 2"):
        decode_result([header.tobytes(), *parts[1:]])
