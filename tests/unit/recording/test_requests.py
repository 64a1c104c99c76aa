import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.errors import RequestRefusedError
from std_daq.recording.request_schema import request_schema
from std_daq.recording.requests import (
    MAX_REQUEST_BYTES,
    Action,
    RunReport,
    StatusMessage,
    Verdict,
    WriteRequest,
    check_request_id,
    new_request_id,
    parse_write_request,
)

AMQP_FRAME_BYTES = 128 * 1024
REQUESTS: list[dict[str, object]] = [
    {"format": written, "compression": compression, **more}
    for written in ("hdf5", "pff", "graw", "hdf5+graw")
    for compression in ("none", "bslz4", "bszstd")
    for more in (
        {},
        {"compression_level": 3},
        {"images_per_file": 2},
        {"n_files": 2},
        {"images_per_file": 2, "n_files": 2},
        {"images_per_file": None, "n_files": 2, "compression_level": None},
    )
] + [
    {},
    {"compression_level": 3},
    {"user_metadata": {"a": 1}},
    {"user_metadata": {"a\0": 1}},
    {"user_metadata": {"": {}}},
]


def refusal(body: bytes) -> str:
    with pytest.raises(RequestRefusedError) as caught:
        parse_write_request(body)
    return str(caught.value)


def test_request_of_the_convention_is_understood() -> None:
    request = parse_write_request(b'{"output_file": "/data/run.h5", "n_images": 10}')
    assert request == WriteRequest(output_file="/data/run.h5", n_images=10)
    assert request.compression == "none"
    assert request.conflict == "refuse"


def test_request_survives_the_wire() -> None:
    request = WriteRequest(
        output_file="/data/run.h5",
        start_image_id=2**64 - 1,
        compression="bslz4",
        images_per_file=100,
        image_timeout_s=1.5,
        user_metadata={"sample": "lysozyme", "n": 3, "t": 0.5, "cold": True},
    )
    assert parse_write_request(request.to_wire()) == request
    assert type(parse_write_request(request.to_wire()).user_metadata["cold"]) is bool


def test_every_field_is_described() -> None:
    schemas = WriteRequest.model_json_schema()["properties"] | RunReport.model_json_schema()["properties"]
    assert all(field.get("description") for field in schemas.values())


@pytest.mark.parametrize("fields", REQUESTS, ids=str)
def test_schema_takes_what_the_model_takes(fields: dict[str, object]) -> None:
    schema = request_schema(None)
    wanted = {"output_file": "/data/run.h5", **fields}
    try:
        parse_write_request(json.dumps(wanted).encode())
    except RequestRefusedError:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wanted, schema)
    else:
        jsonschema.validate(wanted, schema)


def test_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    text = refusal(b'{"output_file": "/a", "n_imagse": 5}')
    assert "'n_imagse'" in text
    assert "got 5" in text
    assert "did you mean 'n_images'" in text


def test_unknown_key_like_no_other_is_refused_with_the_known_ones() -> None:
    assert "known are output_file, n_images" in refusal(b'{"output_file": "/a", "zzz": 5}')


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ["'output_file' is missing"]),
        ({"output_file": ""}, ["'output_file'"]),
        ({"output_file": "/a\0b"}, ["'output_file'"]),
        ({"output_file": "/" + "a" * 5000}, ["'output_file'", "4096"]),
        ({"output_file": 7}, ["'output_file'", "got 7"]),
        ({"output_file": "/a", "n_images": 0}, ["'n_images'", "got 0"]),
        ({"output_file": "/a", "n_images": True}, ["'n_images'", "got True"]),
        ({"output_file": "/a", "n_images": "5"}, ["'n_images'", "got '5'"]),
        ({"output_file": "/a", "n_images": 2.5}, ["'n_images'", "got 2.5"]),
        ({"output_file": "/a", "start_image_id": -1}, ["'start_image_id'", "got -1"]),
        ({"output_file": "/a", "start_image_id": 2**64}, ["'start_image_id'"]),
        ({"output_file": "/a", "compression": "gzip"}, ["'compression'", "'bslz4'", "got 'gzip'"]),
        ({"output_file": "/a", "conflict": "overwrite"}, ["'conflict'", "got 'overwrite'"]),
        ({"output_file": "/a", "image_timeout_s": 0}, ["'image_timeout_s'", "got 0"]),
        ({"output_file": "/a", "n_files": 2, "images_per_file": 3}, ["exclude each other"]),
        ({"output_file": "/a", "format": "tiff"}, ["format", "pff"]),
        ({"output_file": "/a", "compression": "bslz4", "compression_level": 3}, ["compression_level is for bszstd"]),
        ({"output_file": "/a", "compression": "bszstd", "compression_level": 20}, ["'compression_level'", "got 20"]),
        ({"output_file": "/a", "format": "pff", "compression": "bslz4"}, ["PFF files are not compressed"]),
        ({"output_file": "/a", "format": "pff", "n_files": 2}, ["images_per_file instead of n_files"]),
        ({"output_file": "/a", "user_metadata": {"a": [1]}}, ["user_metadata.a"]),
        ({"output_file": "/a", "user_metadata": {"a": "b\0"}}, ["user_metadata.a"]),
    ],
)
def test_wrong_value_is_refused_by_name(fields: dict[str, object], words: list[str]) -> None:
    text = refusal(json.dumps(fields).encode())
    assert [word for word in words if word not in text] == []
    assert len(text) < 1000


HOSTILE = [
    b"",
    b"\x00",
    b"null",
    b"[]",
    b"7",
    b'"output_file"',
    b"{",
    b'{"output_file": }',
    b'{"output_file": "/a"}{}',
    b'{"output_file": "\\ud800"}',
    b'{"output_file": "/\xff\xfe"}',
    b'{"output_file": "/a", "image_timeout_s": NaN}',
    b'{"output_file": "/a", "image_timeout_s": 1e999}',
    b'{"output_file": "/a", "n_images": 1' + b"0" * 5000 + b"}",
    b'{"output_file": "/a", "user_metadata": ' + b"[" * 100_000,
    b'{"output_file": "/a", "user_metadata": {"x": Infinity}}',
    b'{"output_file": "/a", "experiment": {"x": [Infinity]}}',
    b'{"output_file": "/a", "experiment": {"x": [1e999]}}',
    b'{"output_file": "/a", "experiment": ' + b'{"a":' * 100_000,
    b'{"output_file": "' + b"a" * MAX_REQUEST_BYTES + b'"}',
    "{'output_file': '/a'}".encode("utf-16"),
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_body_is_refused_in_a_short_text(body: bytes) -> None:
    assert len(refusal(body)) < 1000


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        parse_write_request(body)


words = st.text(st.characters(codec="ascii"), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words
json_values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(words, scalars, max_size=2)


@given(st.dictionaries(st.sampled_from([*WriteRequest.model_fields, "other"]), json_values))
def test_any_fields_are_a_request_or_refused(fields: dict[str, object]) -> None:
    try:
        request = parse_write_request(json.dumps(fields).encode())
    except RequestRefusedError:
        return
    assert parse_write_request(request.to_wire()) == request


def test_request_id_is_a_uuid() -> None:
    request_id = new_request_id()
    for text in (request_id, request_id.upper(), request_id.replace("-", "")):
        assert check_request_id(text) == text
    for wrong in (None, "", "7", "x" * 255, "../../etc/passwd"):
        with pytest.raises(RequestRefusedError, match="uuid4"):
            check_request_id(wrong)


@pytest.mark.parametrize(
    ("verdict", "action", "exit_code"),
    [
        (Verdict.COMPLETE, Action.SUCCESS, 0),
        (Verdict.INCOMPLETE, Action.FAIL, 3),
        (Verdict.KILLED, Action.KILLED, 4),
        (Verdict.FAILED, Action.FAIL, 5),
        (Verdict.REFUSED, Action.FAIL, 6),
    ],
)
def test_verdict_has_its_final_action_and_exit_code(verdict: Verdict, action: Action, exit_code: int) -> None:
    assert (verdict.action, verdict.exit_code) == (action, exit_code)
    assert action.is_final


def test_status_survives_the_wire() -> None:
    request_id = new_request_id()
    report = RunReport(
        request_id=request_id,
        verdict=Verdict.INCOMPLETE,
        reason="5 images lost",
        n_requested=10,
        n_written=5,
        n_lost=5,
        lost_image_ids=(3, 4, 5, 9, 1),
        files=("/data/a.h5",),
    )
    status = StatusMessage.of_report(report, source="writer", body=b'{"output_file": "/data/a.h5"}')
    body, headers = status.to_wire()
    assert headers["action"] == "request_fail"
    assert headers["verdict"] == "incomplete"
    assert StatusMessage.from_wire(request_id, body, headers) == status


def test_progress_carries_its_numbers_as_headers() -> None:
    status = StatusMessage(
        request_id="r", action=Action.PROGRESS, source="writer", details={"n_written": 7, "n_lost": 0}
    )
    body, headers = status.to_wire()
    assert headers["n_written"] == 7
    assert StatusMessage.from_wire("r", body, headers) == status


def test_details_never_replace_a_header_of_the_convention() -> None:
    status = StatusMessage(request_id="r", action=Action.START, source="writer", details={"action": "request_success"})
    assert status.to_wire()[1]["action"] == "request_start"


def test_report_of_any_size_fits_into_one_frame_and_says_what_is_left_out() -> None:
    report = RunReport(
        request_id="r",
        verdict=Verdict.FAILED,
        reason="é" * 100_000,
        n_lost=100_000,
        lost_image_ids=tuple(range(10**18, 10**18 + 200_000, 2)),
        files=tuple(f"/data/run_{i:06d}.h5" for i in range(50_000)),
    )
    _, headers = StatusMessage.of_report(report, source="writer", body=b"").to_wire()
    assert sum(len(str(value).encode()) for value in headers.values()) < AMQP_FRAME_BYTES - 1000
    received = RunReport.from_wire(str(headers["report"]))
    assert len(received.lost_image_ids) + received.lost_image_ids_truncated == 100_000
    assert len(received.files) + received.files_truncated == 50_000
    assert received.n_lost == 100_000


def test_hostile_report_does_not_fill_the_memory() -> None:
    text = f'{{"request_id": "r", "verdict": "failed", "lost_image_ids": "0-{2**64 - 1}"}}'
    report = RunReport.from_wire(text)
    assert len(report.lost_image_ids) + report.lost_image_ids_truncated == 2**64


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"action": "write_finished"},
        {"action": b"request_fail"},
        {"action": "request_fail", "report": "{"},
        {"action": "request_fail", "report": "[]"},
        {"action": "request_fail", "report": "{}"},
        {"action": "request_fail", "report": '{"request_id": "r", "verdict": "fine"}'},
        {
            "action": "request_fail",
            "report": '{"request_id": "r", "verdict": "failed", "lost_image_ids": [1]}',
        },
        {"action": "request_fail", "report": "[" * 100_000},
    ],
)
def test_what_is_no_status_of_ours_is_a_value_error(headers: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- several parsers, several texts
        StatusMessage.from_wire("r", b"", headers)
