"""std-daq prometheus: targets of all services, rules, and a configuration that Prometheus takes."""

import json
import re
from pathlib import Path

import pytest
import yaml

from std_daq.cli.__main__ import main
from std_daq.cli.prometheus import ALERTS, MAIN, TARGETS, targets_of
from std_daq.config.system import load_any_config

BEAMLINES = Path(__file__).parents[3] / "docker" / "beamlines"
JUNGFRAU = BEAMLINES / "simulated_jungfrau" / "detector.json"


@pytest.fixture
def jungfrau_with_ports(tmp_path: Path) -> Path:
    names = ["assembler", "h5-writer-0", "live-stream", "udp-recv", "writer-agent"]
    document = json.loads(JUNGFRAU.read_text())
    document["metrics"] = {"address": "::1", "ports": {name: 9101 + i for i, name in enumerate(names)}}
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(document))
    return file


def test_targets_have_the_configured_ports_and_say_detector_and_service(
    jungfrau_with_ports: Path, tmp_path: Path
) -> None:
    output = tmp_path / "prometheus"
    assert main(["prometheus", "--config", str(jungfrau_with_ports), "--output", str(output)]) == 0
    targets = json.loads((output / TARGETS).read_text())
    assert {"targets": ["[::1]:9104"], "labels": {"detector": "simulated-jungfrau", "service": "udp-recv"}} in targets
    assert len(targets) == 5
    main_file = yaml.safe_load((output / MAIN).read_text())
    assert main_file["rule_files"] == [ALERTS]
    assert (output / ALERTS).read_text().startswith("# Rules for Prometheus")


def test_ports_left_to_chance_are_refused_with_the_names_of_their_services(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prometheus", "--config", str(JUNGFRAU), "--output", str(tmp_path)]) == 2
    assert "no port of assembler, h5-writer-0, live-stream, udp-recv, writer-agent" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_main_file_of_a_site_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / MAIN).write_text("global: {}\n")
    arguments = ["--config", str(JUNGFRAU), "--output", str(tmp_path), "--target", "{instance}:8080"]
    assert main(["prometheus", *arguments]) == 0
    assert (tmp_path / MAIN).read_text() == "global: {}\n"
    assert "job_name: std-daq" in capsys.readouterr().out


def test_one_place_for_all_services_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--config", str(JUNGFRAU), "--output", str(tmp_path), "--target", "server:8080"]
    assert main(["prometheus", *arguments]) == 2
    assert "put {instance} into it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("beamline", "config", "prefix", "on_host"),
    [
        ("simulated_jungfrau", "detector.json", "", ""),
        ("eiger_9m", "detector.json", "", "udp-recv"),
        ("two_servers", "detector.json", "", ""),
        ("two_servers", "far.json", "far-", ""),
    ],
)
def test_targets_in_containers_are_the_services_of_the_compose_file(
    beamline: str, config: str, prefix: str, on_host: str
) -> None:
    loaded = load_any_config(BEAMLINES / beamline / config)
    hosts = {str(entry["targets"][0]).split(":")[0] for entry in targets_of(loaded, prefix + "{instance}:8080")}  # type: ignore[index]
    composed = yaml.safe_load((BEAMLINES / beamline / "compose.yaml").read_text())["services"]
    services = {name for name in composed if name.startswith("far-") == (prefix == "far-")}
    assert {name for name in hosts if not (on_host and name.startswith(on_host))} <= services
    others = {name.removeprefix(prefix) for name in services - hosts}
    assert not {name for name in others if re.match("udp-recv|assembler|writer|h5|stream|live", name)} or on_host


def test_targets_of_systems_that_are_not_named_stay(
    jungfrau_with_ports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "prometheus"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(jungfrau_with_ports.read_text()) | {"detector_name": "other"}))
    for file in (jungfrau_with_ports, other, other):
        assert main(["prometheus", "--config", str(file), "--output", str(output)]) == 0
    named = [target["labels"]["detector"] for target in json.loads((output / TARGETS).read_text())]
    assert (named.count("simulated-jungfrau"), named.count("other")) == (5, 5)
    assert "keeps the targets of simulated-jungfrau" in capsys.readouterr().err
    (output / TARGETS).write_text("{}[")
    assert main(["prometheus", "--config", str(other), "--output", str(output)]) == 2
    assert "was not written by 'std-daq prometheus'" in capsys.readouterr().err
