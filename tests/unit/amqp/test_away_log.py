import io
import json

import pytest

from std_daq.amqp.away_log import AwayLog
from std_daq.telemetry.logs import configure_logs


class Log:
    """What an `AwayLog` tells, at times that the test sets."""

    def __init__(self, patience_s: float = 0.0) -> None:
        self._lines = io.StringIO()
        configure_logs(json=True, file=self._lines)
        self.now = 1000.0
        self.away = AwayLog(patience_s, lambda: self.now)

    def told(self) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in self._lines.getvalue().splitlines()]
        return [(line["broker"], line["reason"]) for line in lines]


@pytest.fixture
def log() -> Log:
    return Log()


def test_outage_of_an_hour_is_told_once_a_minute(log: Log) -> None:
    for _ in range(1800):
        log.away.note_away("one", "refused")
        log.now += 2.0
    assert log.told() == [("one", "refused")] * 60


def test_new_reason_and_other_node_are_told_at_once(log: Log) -> None:
    log.away.note_away("one", "refused")
    log.away.note_away("two", "refused")
    log.now += 2.0
    log.away.note_away("one", "wrong password")
    assert log.told() == [("one", "refused"), ("two", "refused"), ("one", "wrong password")]


def test_next_outage_is_told_at_once_but_no_more_than_once_a_second(log: Log) -> None:
    for _ in range(20):
        log.away.note_away("one", "refused")
        log.away.note_connected("one")
        log.now += 0.25
    assert len(log.told()) == 5


def test_node_that_may_still_be_starting_is_not_told_but_a_refusal_is() -> None:
    log = Log(patience_s=10.0)
    log.away.note_away("one", "unreachable")
    log.away.note_away("one", "wrong password", is_refused=True)
    log.now += 10.0
    log.away.note_away("one", "unreachable")
    assert log.told() == [("one", "wrong password"), ("one", "unreachable")]


def test_patience_ends_with_the_first_connection() -> None:
    log = Log(patience_s=10.0)
    log.away.note_connected("one")
    log.away.note_away("one", "unreachable")
    assert log.told() == [("one", "unreachable")]
