"""std-daq grafana: a dashboard of the services of some systems, in a file of its own."""

import json
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main

BEAMLINES = Path(__file__).parents[3] / "docker" / "beamlines"
JUNGFRAU = BEAMLINES / "simulated_jungfrau" / "detector.json"
FAR = BEAMLINES / "two_servers" / "far.json"


def rows_of(file: Path) -> set[str]:
    return {panel["title"] for panel in json.loads(file.read_text())["panels"] if panel["type"] == "row"}


def test_rows_are_those_of_the_services(tmp_path: Path) -> None:
    file = tmp_path / "dashboard.json"
    assert main(["grafana", "--output", str(file)]) == 0
    assert {"Reception", "Replication", "Chamber", "Photon simulation"} <= rows_of(file)
    assert main(["grafana", "--config", str(JUNGFRAU), "--output", str(file), "--title", "JF"]) == 0
    assert rows_of(file).isdisjoint({"Replication", "Chamber", "Photon simulation"})
    assert json.loads(file.read_text())["title"] == "JF"
    assert main(["grafana", "--config", str(JUNGFRAU), str(FAR), "--output", str(file)]) == 0
    assert "Replication" in rows_of(file)


def test_file_that_is_no_dashboard_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "detector.json"
    file.write_text(JUNGFRAU.read_text())
    assert main(["grafana", "--output", str(file)]) == 2
    assert "this file was not written by 'std-daq grafana'" in capsys.readouterr().err
    assert file.read_text() == JUNGFRAU.read_text()
