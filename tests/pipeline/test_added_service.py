"""The example of a service, installed as a package of its own outside the repository."""

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from std_test_kit.beamline import Beamline
from std_test_kit.wait import wait_until

PACKAGE = Path(__file__).parents[2] / "examples" / "plugin_service"


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the package into a folder that all processes of the test find."""
    source, folder = tmp_path / "plugin_service", tmp_path / "site"
    shutil.copytree(PACKAGE, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder), str(source)], check=True)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.long
@pytest.mark.usefixtures("_installed")
def test_service_that_was_added_is_started_shown_and_measured(
    beamline_config: Callable[..., Any], tmp_path: Path, broker_url: str
) -> None:
    config = beamline_config("eiger", services={"intensity": {"region": [0, 258, 513, 513], "period_s": 0.05}})
    with Beamline(tmp_path, broker_url, config) as beamline:
        exit_code, _, err = beamline.run("simulate", "--n-images", "50", "--rate-hz", "50", "--pattern", "gradient")
        assert exit_code == 0, err

        def figures() -> dict[str, dict[str, float]]:
            _, out, _ = beamline.run("status", "--json", "--period", "0.1")
            services = {service["instance"]: service for service in json.loads(out)["services"]}
            assert services["intensity"]["is_ready"], services["intensity"]["reason"]
            found: dict[str, dict[str, float]] = services["intensity"]["figures"]
            return found

        wait_until(lambda: figures()["looked at"]["value"] > 0, timeout_s=20.0)
        assert figures()["mean"]["value"] > 0
        _, table, _ = beamline.run("status", "--once", "--period", "0.1")
        assert "looked at" in table
        with urllib.request.urlopen(f"{beamline.record_of('intensity').url}/metrics") as answer:
            assert 'daq_build_info{service="intensity"' in answer.read().decode()


@pytest.mark.long
@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"intensity": {"regoin": [0, 0, 1, 1]}},
            "'services.intensity.regoin': unknown key; did you mean 'region'?",
        ),
        ({"intensty": {}}, "key 'services.intensty': no installed service of this name can be added"),
    ],
)
def test_section_of_a_service_is_checked_before_anything_starts(
    section: dict[str, Any], message: str, beamline_config: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(beamline_config("eiger", services=section)))
    for command in (["up", "--config", str(file)], ["config", "check", str(file)]):
        program = [sys.executable, "-m", "std_daq.cli", *command]
        ended = subprocess.run(program, capture_output=True, text=True, check=False)
        assert ended.returncode == 2
        assert message in ended.stderr
