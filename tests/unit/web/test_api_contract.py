"""Every operation of the API answers whatever is sent to it as its description says."""

import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from std_test_kit.web_console import TOKEN, RunningConsole

ROOT = Path(__file__).parents[3]
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}
# Each opens a connection of its own, and changes nothing that another example sees.
EACH = settings(
    max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
)


# No service of this detector runs. The description of each operation tells of 503, which is no error of the console;
# every other status from 500 on is.
CONFIG = schemathesis.Config.from_dict(
    {"checks": {"not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]}}}
)


def operations_of(console: RunningConsole) -> list[schemathesis.APIOperation]:
    described = schemathesis.openapi.from_url(f"{console.url}/api/v1/openapi.json", config=CONFIG)
    return [found.ok() for found in described.get_all_operations()]


@pytest.mark.timeout(300)
def test_every_operation_keeps_to_its_description(console: RunningConsole) -> None:
    operations = operations_of(console)
    assert len(operations) >= 6
    for operation in operations:
        _check(operation)
    assert console.get("/api/v1/detectors").status == 200


def _check(operation: schemathesis.APIOperation) -> None:
    @EACH
    @given(case=operation.as_strategy())
    def keeps_to_it(case: schemathesis.Case) -> None:
        if "detector" in case.path_parameters and len(str(case.query)) % 2:
            case.path_parameters["detector"] = "small"  # half of them reach the detector
        if case.body:
            case.body = _with_whole_numbers(case.body)
        response = case.call(headers=AUTHORISED, timeout=20)
        case.validate_response(response)

    keeps_to_it()


def _with_whole_numbers(value: Any) -> Any:
    """Return a body that writes whole numbers without a point: JSON schema takes 5.0 for one, a request does not."""
    match value:
        case float() if value.is_integer() and -(2**63) <= value < 2**64:
            return int(value)
        case dict():
            return {key: _with_whole_numbers(content) for key, content in value.items()}
        case list():
            return [_with_whole_numbers(content) for content in value]
    return value


def test_description_names_no_path_outside_the_api(console: RunningConsole) -> None:
    document = console.get("/api/v1/openapi.json").json()
    assert all(path.startswith("/api/v1/") for path in document["paths"])
    for path in document["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_each_path_of_the_api_is_on_a_page_and_the_page_of_the_service_names_no_other(console: RunningConsole) -> None:
    pages = [ROOT / "services/web/README.md", ROOT / "docs/reference/console.md"]
    pages.append(ROOT / "docs/how-to/start-runs-in-a-browser.md")
    texts = [page.read_text() for page in pages]
    paths = set(console.get("/api/v1/openapi.json").json()["paths"])
    own = {path.removeprefix("/api/v1/detectors/{detector}").removeprefix("/api/v1/").strip("/") for path in paths}
    ends = {path.removeprefix("panel/").replace("{request_id}", "ID") or "detectors" for path in own}
    assert {end for end in ends if not any(re.search(rf"[/` ]{re.escape(end)}\b", text) for text in texts)} == set()
    named = re.findall(r"`GET (/detectors[^`?]*)", texts[0].split("### The API")[1].split("### ")[0])
    assert {f"/api/v1{path.replace('{name}', '{detector}')}" for path in named} <= paths
