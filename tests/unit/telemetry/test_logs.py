import json
import subprocess
import sys
from threading import Thread

import pytest

from std_daq.telemetry.logs import ConditionLog, configure_logs, get_logger


def test_lines_are_json_with_event_values_and_service(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", service="udp-recv-0-3", json=True)
    get_logger().info("ring_opened", slots=7)
    get_logger().debug("not_shown")
    (line,) = capfd.readouterr().err.splitlines()
    document = json.loads(line)
    assert (document["event"], document["slots"], document["service"]) == ("ring_opened", 7, "udp-recv-0-3")
    assert document["level"] == "info"


def test_lines_of_other_threads_name_the_service_too(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", service="assembler", json=True)
    thread = Thread(target=lambda: get_logger().info("in_a_thread"))
    thread.start()
    thread.join()
    assert json.loads(capfd.readouterr().err)["service"] == "assembler"


def test_condition_is_logged_once_a_period_with_the_number_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", json=True)
    now = [0.0]
    conditions = ConditionLog(period_s=1.0, clock=lambda: now[0])
    for image_id in range(5):
        conditions.warning("image_incomplete", image_id=image_id)
    conditions.warning("another", image_id=0)
    now[0] = 1.0
    conditions.warning("image_incomplete", image_id=9)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["event"], line["image_id"], line.get("held_back")) for line in lines] == [
        ("image_incomplete", 0, None),
        ("another", 0, None),
        ("image_incomplete", 9, 4),
    ]


def test_script_that_configures_nothing_sees_warnings_only_and_on_standard_error() -> None:
    code = "from std_daq.telemetry.logs import get_logger as g; g().info('quiet'); g().warning('loud')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == ""
    assert "loud" in result.stderr
    assert "quiet" not in result.stderr
