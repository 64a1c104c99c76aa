"""Measured values at the agent: which of them belong to a run, and what becomes of the others."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.amqp.messages import Delivery
from std_daq.recording.measured_values import MAX_MESSAGE_BYTES
from std_daq.recording.value_channel import ReceivedValues
from std_writer_agent import run_values
from std_writer_agent.run_values import RunValues, ValueFate

S = 1_000_000_000


class Stage:
    def __init__(self) -> None:
        self.now = 1000.0
        self.fates: Counter[ValueFate] = Counter()
        self.values = RunValues(
            {"x": "mm", "t": "K"}, lambda fate, n: self.fates.update({fate: n}), lambda: int(self.now * S)
        )

    def send(self, *points: tuple[str, float] | tuple[str, float, float]) -> None:
        names = ("name", "value", "time")
        self.deliver(json.dumps([dict(zip(names, point, strict=False)) for point in points]).encode())

    def deliver(self, body: bytes, n_bytes: int | None = None) -> None:
        delivery = Delivery(
            queue="d.value",
            body=body,
            n_body_bytes=len(body) if n_bytes is None else n_bytes,
            headers={},
            correlation_id=None,
            message_id=None,
            is_redelivered=False,
            tag=1,
            session=1,
        )
        self.values.take(ReceivedValues(delivery))

    def points(self, name: str) -> list[tuple[float, float]]:
        log = self.values.logs().get(name)
        return [] if log is None else [(at / S, value) for at, value in zip(log.times_ns, log.values, strict=True)]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_run_has_its_values_and_the_latest_from_before(stage: Stage) -> None:
    stage.send(("x", 1.0), ("x", 2.0), ("t", 80.0))
    stage.now = 1010
    stage.values.open()
    stage.now = 1011
    stage.send(("x", 3.0))
    stage.send(("x", 4.0, 1010.5))
    assert stage.points("x") == [(1000, 2.0), (1010.5, 4.0), (1011, 3.0)]
    assert stage.points("t") == [(1000, 80.0)]
    assert stage.values.logs()["x"].unit == "mm"
    assert stage.fates == {ValueFate.BETWEEN_RUNS: 3, ValueFate.KEPT: 2}


def test_value_from_before_the_run_that_comes_in_it_replaces_the_one_before(stage: Stage) -> None:
    stage.send(("x", 1.0, 900))
    stage.values.open()
    stage.send(("x", 2.0, 950))
    stage.send(("x", 3.0, 800))
    assert stage.points("x") == [(950, 2.0)]


def test_value_that_comes_when_the_writers_have_those_of_its_run_is_late(stage: Stage) -> None:
    stage.values.open()
    stage.send(("x", 1.0))
    stage.now = 1010
    assert stage.values.hand_over()["x"].values == [1.0]
    stage.now = 1011
    stage.send(("x", 2.0, 1009), ("x", 3.0))  # of the run, and of the time in which its files are closed
    stage.values.end()
    assert stage.values.logs() == {}
    assert stage.fates == {ValueFate.KEPT: 1, ValueFate.LATE: 1, ValueFate.BETWEEN_RUNS: 1}


def test_values_of_a_run_without_a_file_are_lost(stage: Stage) -> None:
    stage.values.open()
    stage.send(("x", 1.0), ("t", 2.0))
    stage.values.end()
    assert stage.fates == {ValueFate.KEPT: 2, ValueFate.LOST: 2}


def test_late_value_is_counted_and_is_in_no_run(stage: Stage) -> None:
    stage.values.open()
    stage.values.end()
    stage.now = 1005
    stage.send(("x", 1.0, 999))
    assert stage.fates == {ValueFate.LATE: 1}
    assert stage.values.logs() == {}
    stage.values.open()
    stage.values.open()
    assert stage.points("x") == [(999, 1.0)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\x00",
        b"[" * 10_000,
        b'{"name": "x"}',
        b'{"name": "x", "value": "1e999"}',
        b'{"name": "x", "value": 1e999}',
        b'{"name": "x", "value": NaN}',
        b'{"name": "x", "value": 1, "time": "2026-01-01T00:00:00"}',
        b'{"name": "x", "value": 1, "time": 1e300}',
        b'{"name": "../x", "value": 1}',
        b'{"name": "x", "value": 1, "other": 2}',
        json.dumps([{"name": "x", "value": 1}] * 1001).encode(),
        b'{"name": "nobody", "value": 1}',
        b'{"name": "x", "value": 1, "time": "1969-01-01T00:00:00Z"}',
        b'{"name": "x", "value": 1, "time": 2000}',
    ],
)
def test_what_is_no_value_is_refused_and_counted(stage: Stage, body: bytes) -> None:
    stage.values.open()
    stage.deliver(body)
    assert stage.fates == {ValueFate.REFUSED: 1}
    assert stage.values.logs() == {}


def test_message_that_is_too_long_is_refused(stage: Stage) -> None:
    stage.deliver(b'{"name": "x", "value": 1}', MAX_MESSAGE_BYTES + 1)
    assert stage.fates == {ValueFate.REFUSED: 1}


def test_values_beyond_the_limit_are_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_values, "MAX_VALUES_A_RUN", 3)
    stage.values.open()
    stage.send(*[("x", float(i)) for i in range(5)])
    assert stage.fates == {ValueFate.KEPT: 3, ValueFate.TOO_MANY: 2}
    stage.values.end()
    stage.values.open()
    stage.send(("x", 9.0))
    assert [value for _, value in stage.points("x")] == [4.0, 9.0]


@given(st.binary(max_size=200))
def test_no_message_raises(body: bytes) -> None:
    stage = Stage()
    stage.values.open()
    stage.deliver(body)
    assert sum(stage.fates.values()) <= 1
