"""Writing units again: what is told to change changes, and the command tells what."""

import json
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main


@pytest.fixture
def command(configs: dict[str, Path], tmp_path: Path) -> list[str]:
    url_file = tmp_path / "agent.url"
    url_file.write_text("amqp://agent:secret@localhost\n")
    output = ["--output", str(tmp_path / "units"), "--broker-url-file", str(url_file)]
    return ["systemd", "--config", str(configs["images"]), *output]


def test_second_call_changes_nothing_and_says_so(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 0
    assert "next: systemctl daemon-reload" in capsys.readouterr().out
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "nothing has changed" in said
    assert "new" not in said


def test_changed_configuration_changes_its_units_alone_and_shows_the_lines(
    command: list[str], configs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    foreign = tmp_path / "units" / "std-daq-other-udp-recv.service"
    foreign.write_text("# Unit of the system other, written by somebody\n")
    document = json.loads(configs["images"].read_text())
    document["writer"]["output_roots"] = ["/srv/data"]
    document["live_stream_configs"] = {}
    configs["images"].write_text(json.dumps(document))
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    changes = {Path(one["file"]).name: one for one in json.loads(capsys.readouterr().out)}
    prefix = "std-daq-simulated-jungfrau"
    assert changes[f"{prefix}-h5-writer-0.service"]["change"] == "changed"
    assert "+ReadWritePaths=-/srv/data" in changes[f"{prefix}-h5-writer-0.service"]["lines"]
    assert "-ReadWritePaths=-/data" in changes[f"{prefix}-h5-writer-0.service"]["lines"]
    assert changes[f"{prefix}-assembler.service"]["change"] == "as before"
    assert changes[f"{prefix}-live-stream.service"]["change"] == "removed"
    assert not (tmp_path / "units" / f"{prefix}-live-stream.service").exists()
    assert changes[f"{prefix}.target"]["lines"] == [f"-Wants={prefix}-live-stream.service"]
    assert foreign.exists()


def test_unit_that_somebody_else_has_written_is_left_alone_and_nothing_else_is_written(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "units" / "std-daq-simulated-jungfrau.target"
    mine.parent.mkdir()
    mine.write_text("[Unit]\n")
    assert main(command) == 2
    assert "a unit of this name is there" in capsys.readouterr().err
    assert [file.name for file in mine.parent.iterdir()] == [mine.name]


def test_two_systems_whose_units_would_have_one_name_are_refused(
    command: list[str], configs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = tmp_path / "same.json"
    same.write_text(configs["images"].read_text())
    command.insert(2, str(same))
    assert main(command) == 2
    assert "give one of them another name" in capsys.readouterr().err


def test_what_a_server_should_not_leave_open_is_said(
    command: list[str], configs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(configs["images"].read_text())
    del document["writer"]["output_roots"], document["writer"]["journal"]
    configs["images"].write_text(json.dumps(document))
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "writer.output_roots names no folder" in said
    assert "writer.journal is not set" in said
