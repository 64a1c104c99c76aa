"""Each number in a message between client, agent and writers has bounds, and no message raises anything unforeseen."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from std_daq.errors import RequestRefusedError
from std_daq.imaging.protocols.store_image import STORE_IMAGE
from std_daq.recording.measured_values import ValueLog
from std_daq.recording.requests import FaultCount, RunReport, Verdict, WriteRequest, parse_write_request
from std_daq.recording.store_stream import (
    EndRun,
    FinishRun,
    ReportKind,
    StartRun,
    WriteMaster,
    WriterReport,
    decode,
    encode_run_message,
)
from std_test_kit.fields import changed, fields_of
from std_writer_agent.part import WriterPart

MODELS: list[type[BaseModel]] = [WriteRequest, RunReport, StartRun, EndRun, FinishRun, WriteMaster, WriterReport]
REQUEST = WriteRequest(output_file="/a")
REPORT = RunReport(request_id="r", verdict=Verdict.COMPLETE, faults={"damaged": FaultCount()})
LOGS = {"sample_x": ValueLog(unit="mm", times_ns=[1], values=[0.5])}
MESSAGES: list[Any] = [
    StartRun(run_id=1, request_id="r", request=REQUEST, output_file="/a", images_per_file=None),
    EndRun(run_id=1, n_sent=3),
    FinishRun(run_id=1, report=REPORT, logs=LOGS),
    WriteMaster(run_id=1, output_file="/a", report=REPORT, data_files=["/b"], logs=LOGS),
]
WRITER_REPORT = WriterReport(
    kind=ReportKind.PROGRESS, writer=0, instance="i", run_id=1, faults={"damaged": FaultCount()}
)
NESTED: list[Any] = []
for _ in range(1000):
    NESTED = [NESTED]
VALUES = st.one_of(
    st.sampled_from([10**30, -1, -(10**30), 2**63, 2**64, float("nan"), float("inf"), "x" * 10**5, "\0", NESTED]),
    st.sampled_from([None, True, 0, 1, 2**32, "", [], {}, [0] * 10**4, {"a": {"b": 1}}, "9" * 5000]),
)


@pytest.mark.parametrize("model", MODELS)
def test_each_number_of_a_message_has_bounds(model: type[BaseModel]) -> None:
    numbers = [field for field in fields_of(model.model_json_schema()) if field.is_number]
    assert numbers
    assert [field.name for field in numbers if not field.is_bounded] == []


def fields(model: type[BaseModel]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sampled_from([field.path for field in fields_of(model.model_json_schema()) if field.path])


@given(fields(WriteRequest), VALUES)
def test_request_with_an_extreme_value_is_refused_with_its_key_or_can_be_sent_on(
    path: tuple[str, ...], value: Any
) -> None:
    body = json.dumps(changed({"output_file": "/a"}, path, value)).encode()
    refused: list[str] = []
    request = None
    try:
        request = parse_write_request(body)
    except RequestRefusedError as error:
        refused.append(str(error))
    if request is not None:
        assert parse_write_request(request.to_wire()) == request
    for text in refused:
        assert len(text) < 1000
        assert any(words in text for words in (path[0], "exclude each other", "JSON"))


@given(st.sampled_from(MESSAGES), st.data())
def test_message_to_a_writer_with_an_extreme_value_is_refused_or_is_one(message: Any, data: st.DataObject) -> None:
    path = data.draw(fields(type(message)))
    document = changed(message.model_dump(mode="json"), path, data.draw(VALUES))
    with suppress(ValueError):
        again = decode(b"J" + json.dumps(document).encode(), STORE_IMAGE)
        assert decode(encode_run_message(again), STORE_IMAGE) == again


@given(fields(WriterReport), VALUES)
def test_report_of_a_writer_with_an_extreme_value_is_refused_or_counted(path: tuple[str, ...], value: Any) -> None:
    document = changed(WRITER_REPORT.model_dump(mode="json"), path, value)
    with suppress(ValidationError):
        report = WriterReport.model_validate_json(json.dumps(document))
        part = WriterPart(0, "i", 0.0)
        part.assign(range(5), 0.0)
        part.feed(report, 1.0)
        RunReport(
            request_id="r",
            verdict=Verdict.FAILED,
            n_written=part.n_in_files,
            n_incomplete=part.n_incomplete,
            faults=part.faults,
            n_lost=max(part.n_lost, 0),
            lost_image_ids=tuple(part.known_lost_ids()),
            ended_at=datetime.now(UTC),
        ).to_wire()


@given(fields(RunReport), VALUES)
def test_report_of_a_run_with_an_extreme_value_is_refused_or_can_be_read_again(
    path: tuple[str, ...], value: Any
) -> None:
    document = json.loads(REPORT.to_wire())
    with suppress(ValueError):
        report = RunReport.from_wire(json.dumps(changed(document, path, value)))
        RunReport.from_wire(report.to_wire())
