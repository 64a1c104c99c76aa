"""How commands tell that they cannot do what they should: one line, an exit code, and with --json a document."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.cli.kill import _current_request
from std_daq.client import DaqClient
from std_daq.errors import ResourceError

CONFIG = {
    "detector_name": "det",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}


@pytest.fixture
def config_file(tmp_path: Path, runtime: Path) -> str:
    assert runtime.is_dir()
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(CONFIG))
    return str(path)


@pytest.fixture
def away() -> Iterator[str]:
    """URL of a port that is taken, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"amqp://127.0.0.1:{taken.getsockname()[1]}/"


def test_error_is_a_document_where_one_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", "--config", str(tmp_path / "none.json")]) == 2
    output = capsys.readouterr()
    assert "no such file" in json.loads(output.out)["error"]
    assert output.err.startswith("std-daq status: ")


def test_write_without_a_broker_tells_a_failed_run(
    config_file: str, away: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("std_daq.client.daq_client.CONNECT_TIMEOUT_S", 0.2)
    command = ["write", "--config", config_file, "--broker-url", away, "--output-file", "a.h5"]
    assert main([*command, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "failed"
    assert "no connection to the broker" in report["reason"]
    assert report["n_written"] == 0
    assert main(command) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "no connection to the broker" in output.err


def test_write_with_a_wrong_configuration_tells_a_failed_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["write", "--json", "--config", str(tmp_path / "none.json"), "--output-file", "a.h5"]) == 2
    assert json.loads(capsys.readouterr().out)["verdict"] == "failed"


@pytest.mark.long
def test_write_that_is_no_request_is_not_sent(config_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["write", "--config", config_file, "--output-file", "a.h5", "--n-images", f"{10**10}", "--json"]
    assert main(command) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "failed"
    assert "n_images" in report["reason"]


@pytest.mark.long
def test_current_request_cannot_be_killed_where_there_is_none(config_file: str) -> None:
    with pytest.raises(ResourceError, match=r"no request runs for det.*no writer agent answers"):
        _current_request(DaqClient(config_file))
    assert main(["kill", "--config", config_file, "--current"]) == 1


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["simulate", "--n-images", "1", "--ledger"], "--ledger"),
        (["pedestal", "--output"], "--output"),
    ],
)
def test_place_where_nothing_can_be_written_is_told_before_the_work(
    command: list[str], option: str, config_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, problem in [("none/x", "there is no folder"), ("", "this is a folder")]:
        assert main([*command, str(tmp_path / place), "--config", config_file]) == 2
        error = capsys.readouterr().err
        assert option in error
        assert problem in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", "--n-images", "1", "--rate-hz", "0"],
        ["simulate", "--n-images", "1", "--rate-hz", "inf"],
        ["simulate", "--n-images", "1", "--loss", "1.5"],
        ["simulate", "--n-images", "-1"],
        ["status", "--period", "-1"],
        ["up", "--ready-timeout", "nan"],
    ],
)
def test_number_that_makes_no_sense_is_refused(
    arguments: list[str], config_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--config", config_file])
    assert ended.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_up_tells_what_the_detector_finds_wrong_before_it_starts_anything(
    config_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(config_file).write_text(json.dumps(CONFIG | {"detector_type": "camera"}))
    assert main(["up", "--config", config_file]) == 2
    assert capsys.readouterr().err.startswith(f"std-daq up: {config_file}: key 'detector_type': unknown detector type")


@pytest.mark.parametrize("command", [["write", "--output-file", "a.h5"], ["kill", "--current"], ["up"]])
def test_password_on_the_command_line_is_refused_with_what_to_do_instead(
    command: list[str], config_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--config", config_file, "--broker-url", "amqp://user:hush@127.0.0.1/"])
    assert ended.value.code == 2
    said = "".join(capsys.readouterr())
    assert "STD_DAQ_BROKER_URL_FILE" in said
    assert "hush" not in said
