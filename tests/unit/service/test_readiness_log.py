from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from std_daq.service.readiness import Readiness
from std_daq.service.readiness_log import ReadinessLog


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now_s=100.0)


def told(log: ReadinessLog, clock: SimpleNamespace, seconds: int) -> list[dict[str, object]]:
    with capture_logs() as lines:
        for _ in range(10 * seconds):
            log.step()
            clock.now_s += 0.1
    return [dict(line) for line in lines]


def test_service_that_waits_says_what_for_and_when_it_is_over(clock: SimpleNamespace) -> None:
    readiness = Readiness("waiting for the ring")
    log = ReadinessLog(readiness, lambda: clock.now_s)
    assert told(log, clock, 2) == []
    assert told(log, clock, 60) == [{"event": "not_ready", "why": "waiting for the ring", "log_level": "warning"}]
    readiness.service = SimpleNamespace(is_ready=True)
    (line,) = told(log, clock, 60)
    assert (line["event"], line["after_s"]) == ("ready", pytest.approx(62, abs=1.1))


def test_services_that_start_together_say_nothing(clock: SimpleNamespace) -> None:
    readiness = Readiness()
    log = ReadinessLog(readiness, lambda: clock.now_s)
    assert told(log, clock, 2) == []
    readiness.service = SimpleNamespace(is_ready=True)
    assert told(log, clock, 60) == []


def test_reason_that_changes_all_the_time_is_told_every_ten_seconds(clock: SimpleNamespace) -> None:
    readiness = Readiness()
    log = ReadinessLog(readiness, lambda: clock.now_s)
    whys = []
    for seconds in range(34):
        readiness.reason = f"{seconds} s without packets"
        whys += [line["why"] for line in told(log, clock, 1)]
    assert len(whys) == 3
