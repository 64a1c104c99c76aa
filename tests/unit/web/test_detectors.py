"""The detectors of a console."""

import json
from pathlib import Path

import pytest

from std_daq.errors import ConfigError
from std_test_kit.web_console import RunningConsole, running_console
from std_web.detectors import watch

EXAMPLES = Path(__file__).parents[3] / "docker" / "beamlines"


def test_each_kind_of_system_is_recognised(detector_file: Path) -> None:
    files = [detector_file, EXAMPLES / "observatory" / "live.json", EXAMPLES / "chamber" / "tpc.json"]
    with running_console(*files) as console:
        systems = [one["system"] for one in console.get("/api/v1/detectors").json()]
    assert systems == ["images", "telescope", "tpc"]


def test_two_detectors_of_one_name_are_refused(detector_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(detector_file.read_bytes())
    with pytest.raises(ConfigError, match=r"other.json: key 'detector_name': the configuration .*detector.json has"):
        watch([detector_file, other])


def test_detector_is_described(console: RunningConsole) -> None:
    described = console.get("/api/v1/detectors/small").json()
    assert (described["shape"], described["dtype"], described["n_modules"]) == ([2016, 2016], "uint16", 8)
    assert described["geometry"]["pixel_size_m"] == [75e-6, 75e-6]


def test_unknown_detector_is_a_problem_with_the_known_names(console: RunningConsole) -> None:
    answer = console.get("/api/v1/detectors/other")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json() == {
        "type": "about:blank",
        "title": "Unknown detector",
        "status": 404,
        "detail": "there is no detector 'other' here; known: small",
        "instance": "/api/v1/detectors/other",
    }


def test_api_describes_itself_and_the_page_is_there(console: RunningConsole) -> None:
    document = console.get("/api/v1/openapi.json").json()
    assert "/api/v1/detectors" in document["paths"]
    assert "HTTPValidationError" not in json.dumps(document)
    page = console.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert console.get("/../service.py").status == 404
    assert console.get("/%2e%2e/service.py").status == 404
    assert console.get("/..%2fservice.py").status == 404
