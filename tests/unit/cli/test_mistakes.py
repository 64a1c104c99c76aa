"""The same mistake ends every command with the same exit code."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from std_daq.cli.__main__ import COMMANDS, main
from std_daq.errors import EXIT_FAILED, EXIT_WRONG_CALL
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_test_kit.image_files import report_of, write_image_file
from std_test_kit.plain_user import run_as_plain_user

Fill = Callable[..., list[str]]
# What each command needs beside its configuration; `FOLDER` stands for a folder of the test.
WITH_CONFIG = {
    "up": ["up"],
    "write": ["write", "--output-file", "FOLDER/a.h5"],
    "kill": ["kill", "--current"],
    "value": ["value", "x=1"],
    "status": ["status", "--period-s", "0.01"],
    "view": ["view", "--timeout-s", "0.05"],
    "simulate": ["simulate", "--n-images", "1"],
    "dump": ["dump", "--output", "FOLDER/capture"],
    "replay": ["replay", "FOLDER/50000.dat"],
    "doctor": ["doctor"],
    "config": ["config", "check"],
    "shm list": ["shm", "list"],
    "shm clean": ["shm", "clean"],
    "prometheus": ["prometheus", "--output", "FOLDER/prometheus"],
    "grafana": ["grafana", "--output", "FOLDER/dashboard.json"],
    "systemd": ["systemd", "--output", "FOLDER/units"],
    "broker-setup": ["broker-setup", "--output", "FOLDER/secrets"],
    "pedestal": ["pedestal", "--output", "FOLDER/pedestal.h5", "--timeout-s", "0.05"],
    "analyse": ["analyse", "FOLDER/run.h5", "--output", "FOLDER/result.h5"],
    "event-view": ["event-view", "--reset"],
    "journal": ["journal", "backup", "--output", "FOLDER/copy"],
}
NOT_FOR_OTHERS = ["journal", "value", "view", "simulate", "dump", "replay", "pedestal", "analyse", "event-view"]
WITHOUT_JSON = {"up", "event-view"}
WITH_INPUT = {
    "validate": ["validate"],
    "recover": ["recover"],
    "join": ["join", "FOLDER/master.h5"],
    "replay": ["replay", "--config", "CONFIG"],
    "pff info": ["pff", "info"],
    "pff cat": ["pff", "cat"],
    "live": ["live", "--list-hosts"],
    "live --init": ["live", "--host", "unix:/nonexistent", "--init"],
    "ublox init": ["ublox", "--host", "unix:/nonexistent", "init"],
    "simulate-f9t": ["simulate-f9t", "FOLDER/f9t", "--replay"],
    "config import": ["config", "import"],
    "journal restore": ["journal", "restore", "--config", "CONFIG"],
    "config check": ["config", "check"],
}
WITH_OUTPUT = {
    "simulate": ["simulate", "--config", "CONFIG", "--n-images", "1", "--ledger"],
    "pedestal": ["pedestal", "--config", "CONFIG", "--output"],
    "view": ["view", "--address", "tcp://127.0.0.1:9", "--picture"],
    "validate": ["validate", "SOUND", "--picture"],
    "live": ["live", "--host", "unix:/nonexistent", "--plot-view", "--png"],
    "dump": ["dump", "--config", "CONFIG", "--n-packets", "1", "--output"],
    "grafana": ["grafana", "--output"],
    "certificates": ["certificates", "--client", "far", "--output"],
    "systemd": ["systemd", "--config", "CONFIG", "--output"],
    "broker-setup": ["broker-setup", "--tag", "det", "--output"],
    "journal": ["journal", "backup", "--config", "CONFIG", "--output"],
}


@pytest.fixture
def fill(tmp_path: Path, config_file: str) -> Fill:
    """Put files of the test into the arguments of a command."""
    sound = write_image_file(tmp_path / "sound.h5", range(1, 4), report_of(n_requested=3, n_written=3))
    names = {"FOLDER": str(tmp_path), "CONFIG": config_file, "SOUND": str(sound)}

    def fill_arguments(arguments: list[str], *more: str) -> list[str]:
        for name, value in names.items():
            arguments = [argument.replace(name, value) for argument in arguments]
        return [*arguments, *more]

    return fill_arguments


def with_config(name: str, file: str, folder: Path) -> list[str]:
    arguments = [argument.replace("FOLDER", str(folder)) for argument in WITH_CONFIG[name]]
    return [*arguments, file] if name == "config" else [*arguments, "--config", file]


def exit_code_of(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


def run_command(arguments: list[str], **settings: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "std_daq.cli", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, **settings)  # type: ignore[call-overload,no-any-return]


def check_told(name: str, output: tuple[str, str], *, as_json: bool) -> None:
    out, err = output
    assert f"std-daq {name.split()[0]}" in err
    assert "Traceback" not in err
    if as_json:
        assert isinstance(json.loads(out), dict)
    else:
        assert out == ""


def wrong_configs(folder: Path, right: str) -> dict[str, str]:
    files = {
        "no such file": "none.json",
        "a folder": ".",
        "another kind of file": "text.json",
        "unknown key": "key.json",
        "wrong value": "value.json",
    }
    document = json.loads(Path(right).read_text())
    (folder / "text.json").write_text("no JSON")
    (folder / "key.json").write_text(json.dumps(document | {"n_modulse": 1}))
    (folder / "value.json").write_text(json.dumps(document | {"bit_depth": "deep"}))
    return {mistake: str(folder / file) for mistake, file in files.items()}


def test_all_commands_are_tried() -> None:
    without_config = {"validate", "recover", "join", "certificates", "pff", "live", "ublox", "simulate-f9t"}
    assert {name.split()[0] for name in WITH_CONFIG} | without_config == set(COMMANDS)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", sorted(WITH_CONFIG))
def test_wrong_configuration_ends_with_2(
    name: str, as_json: bool, config_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if as_json and name in WITHOUT_JSON:
        return
    for mistake, file in wrong_configs(tmp_path, config_file).items():
        arguments = with_config(name, file, tmp_path) + ["--json"] * as_json
        assert exit_code_of(arguments) == EXIT_WRONG_CALL, mistake
        if name == "config" and as_json:
            assert json.loads(capsys.readouterr().out)["problem"], mistake
        else:
            check_told(name, capsys.readouterr(), as_json=as_json)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(WITH_CONFIG))
def test_configuration_of_another_system_is_taken_or_refused(
    name: str, chamber_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in {"up", "write", "doctor"}:  # would run for long, or speak to a broker
        return
    exit_code = exit_code_of(with_config(name, chamber_file, tmp_path))
    error = capsys.readouterr().err
    is_refused = "this is a configuration of chamber" in error
    assert is_refused == (name in NOT_FOR_OTHERS)
    assert (exit_code == EXIT_WRONG_CALL) == is_refused
    is_for_both = name in {"simulate", "dump", "replay"}
    assert ("or the tpc.json of a chamber" in error) == is_for_both


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_unknown_or_shortened_option_ends_with_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--nonsense", "--confi", "--jso"):
        assert exit_code_of([name, option, "x"]) == EXIT_WRONG_CALL
        check_told(name, capsys.readouterr(), as_json=False)


def test_wrong_arguments_are_a_document_where_one_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["shm", "list", "--json", "--nonsense"]) == EXIT_WRONG_CALL
    assert "--nonsense" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("name", sorted(WITH_INPUT))
def test_input_that_is_not_there_ends_with_2(
    name: str, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("none.h5", "no/folder.h5", "."):
        assert exit_code_of(fill(WITH_INPUT[name], str(tmp_path / place))) == EXIT_WRONG_CALL, place
        check_told(name, capsys.readouterr(), as_json=False)


@pytest.mark.parametrize("name", ["validate", "recover", "join", "replay", "pff info"])
def test_data_of_another_kind_end_with_1(
    name: str, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "50000.dat"
    other.write_text("neither an image file nor a capture")
    assert exit_code_of(fill(WITH_INPUT[name], str(other))) == EXIT_FAILED
    assert str(other) in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", sorted(WITH_OUTPUT))
def test_output_that_cannot_be_written_ends_with_2(
    name: str, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    assert exit_code_of(fill(WITH_OUTPUT[name], str(taken / "below"))) == EXIT_WRONG_CALL
    assert "Traceback" not in capsys.readouterr().err
    assert taken.read_text() == "a file"


@pytest.mark.parametrize("name", ["pedestal", "dump", "certificates"])
def test_output_that_exists_is_kept_and_ends_with_2(
    name: str, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    existing = {
        "pedestal": tmp_path / "there",
        "dump": tmp_path / "50000.dat",
        "certificates": tmp_path / "far-cert.pem",
    }[name]
    existing.write_text("kept")
    output = existing if name == "pedestal" else tmp_path
    assert exit_code_of(fill(WITH_OUTPUT[name], str(output))) == EXIT_WRONG_CALL
    assert existing.read_text() == "kept"
    assert existing.name in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config", "status", "shm list", "simulate", "doctor"])
def test_configuration_that_may_not_be_read_ends_with_2(name: str, config_file: str, tmp_path: Path) -> None:
    Path(config_file).chmod(0)
    done = run_as_plain_user(with_config(name, config_file, tmp_path))
    assert (done.returncode, "Permission denied" in done.stderr) == (EXIT_WRONG_CALL, True), done.stderr


@pytest.mark.parametrize("name", ["validate", "recover", "replay", "config import"])
def test_input_that_may_not_be_read_ends_with_2(name: str, fill: Fill, tmp_path: Path) -> None:
    secret = tmp_path / "50000.dat"
    secret.write_bytes(b"x")
    secret.chmod(0)
    done = run_as_plain_user(fill(WITH_INPUT[name], str(secret)))
    assert (done.returncode, "may not read it" in done.stderr) == (EXIT_WRONG_CALL, True), done.stderr


@pytest.mark.parametrize("name", sorted(WITH_OUTPUT))
def test_output_that_may_not_be_written_ends_with_2(name: str, fill: Fill, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = run_as_plain_user(fill(WITH_OUTPUT[name], str(closed / "new")))
    assert (done.returncode, "may not write" in done.stderr) == (EXIT_WRONG_CALL, True), done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--ready-timeout-s", "0"],
        ["up", "--broker-url", "nonsense"],
        ["write", "--output-file", "a.h5", "--n-images", "0"],
        ["write", "--output-file", "a.h5", "--start-image-id", "-1"],
        ["write", "--output-file", "a.h5", "--image-timeout-s", "nan"],
        ["write", "--output-file", "a.h5", "--metadata", "nonsense"],
        ["write", "--output-file", "a.h5", "--n-images", "99999999999"],
        ["kill", "nonsense"],
        ["kill", "--current", "--wait-s", "-1"],
        ["status", "--period-s", "inf"],
        ["view", "--n-images", "0"],
        ["simulate", "--n-images", "1", "--pattern", "nonsense"],
        ["simulate", "--n-images", "1", "--loss", "2"],
        ["simulate", "--n-images", "1", "--restart-at", "-1"],
        ["dump", "--output", "capture", "--duration-s", "0"],
        ["replay", "50000.dat", "--rate-hz", "0"],
        ["broker-setup", "--output", "secrets", "--port", "70000"],
        ["broker-setup", "--output", "secrets", "--queue-type", "nonsense"],
        ["pedestal", "--output", "p.h5", "--n-skipped", "-1"],
    ],
    ids=" ".join,
)
def test_wrong_value_of_an_option_ends_with_2(
    arguments: list[str], config_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of([*arguments, "--config", config_file]) == EXIT_WRONG_CALL
    check_told(arguments[0], capsys.readouterr(), as_json=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "SOUND", "--image", "3", "--picture", "FOLDER/a.png"],
        ["validate", "SOUND", "--max-images-read", "0"],
        ["config", "schema", "--system", "nonsense"],
        ["live", "--list-hosts"],
        ["live", "--host", "a"],
        ["live", "--host", "a b", "--list-hosts"],
        ["live", "--port", "0", "--list-hosts"],
        ["live", "--ping", "--port", "50051"],
        ["live", "--host", "a", "--plot-view", "--seconds", "0"],
        ["live", "--host", "a", "--init", "SOUND", "--init-sim"],
        ["live", "--host", "a", "--list-hosts", "--png", "FOLDER/a.png"],
        ["view", "--address", "nonsense"],
        ["shm", "list", "--directory", "FOLDER/none"],
        ["shm", "clean", "--directory", "SOUND"],
        ["broker-setup", "--tag", "no/tag", "--output", "FOLDER/secrets"],
    ],
    ids=" ".join,
)
def test_wrong_value_of_an_option_without_configuration_ends_with_2(
    arguments: list[str], fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(fill(arguments)) == EXIT_WRONG_CALL
    check_told(arguments[0], capsys.readouterr(), as_json=False)


@pytest.mark.parametrize("arguments", [["write", "--output-file", "a.h5"], ["kill", "--current"], ["kill", "UUID"]])
def test_no_broker_ends_with_1(
    arguments: list[str], config_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("std_daq.client.daq_client.CONNECT_TIMEOUT_S", 0.2)
    given = [argument.replace("UUID", "12345678-1234-4234-8234-123456789abc") for argument in arguments]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = f"amqp://127.0.0.1:{taken.getsockname()[1]}/"
        assert exit_code_of([*given, "--config", config_file, "--broker-url", away]) == EXIT_FAILED
    check_told(arguments[0], capsys.readouterr(), as_json=False)


@pytest.mark.long
@pytest.mark.parametrize("name", ["kill", "status", "pedestal"])
def test_nobody_who_answers_ends_with_1(name: str, config_file: str, tmp_path: Path) -> None:
    assert exit_code_of(with_config(name, config_file, tmp_path)) == EXIT_FAILED
    assert exit_code_of(["view", "--address", "tcp://127.0.0.1:9", "--timeout-s", "0.05"]) == EXIT_FAILED


def test_port_that_is_taken_ends_with_1(config_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        document = json.loads(Path(config_file).read_text()) | {"start_udp_port": port, "udp": {"address": "127.0.0.1"}}
        Path(config_file).write_text(json.dumps(document))
        assert exit_code_of(with_config("dump", config_file, tmp_path)) == EXIT_FAILED
    assert str(port) in capsys.readouterr().err


OUTPUTS = [
    ["config", "schema"],
    ["config", "reference"],
    ["shm", "list", "--directory", "FOLDER"],
    ["validate", "SOUND"],
    ["validate", "SOUND", "--json"],
    ["simulate", "--help"],
    ["--help"],
    ["--version"],
]


@pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
def test_full_disk_under_the_output_ends_with_1(arguments: list[str], fill: Fill) -> None:
    with Path("/dev/full").open("w") as full:
        done = run_command(fill(arguments), stdout=full)
    assert done.returncode == EXIT_FAILED
    assert done.stderr.count("No space left on device") == 1
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr


@pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
def test_reader_that_stops_early_ends_the_command_with_1_and_without_a_word(arguments: list[str], fill: Fill) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run_command(fill(arguments), stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (EXIT_FAILED, "")


def test_full_disk_under_a_file_ends_with_1(fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(fill(WITH_OUTPUT["simulate"], "/dev/full")) == EXIT_FAILED
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_what_sends_with_its_number_and_the_counts(number: signal.Signals, config_file: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as detector:
        detector.bind(("127.0.0.1", 0))
        document = json.loads(Path(config_file).read_text()) | {"start_udp_port": detector.getsockname()[1]}
        Path(config_file).write_text(json.dumps(document))
        arguments = ["simulate", "--json", "--config", config_file, "--n-images", "1000000", "--rate-hz", "10"]
        with subprocess.Popen([sys.executable, "-m", "std_daq.cli", *arguments], stdout=subprocess.PIPE) as process:
            detector.settimeout(60)
            detector.recv(65536)
            process.send_signal(number)
            out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert json.loads(out)["n_packets"] > 0


def test_ctrl_c_before_the_end_ends_with_130(config_file: str, shm_dir: Path, tmp_path: Path) -> None:
    document = json.loads(Path(config_file).read_text()) | {"shared_memory": {"directory": str(shm_dir)}}
    Path(config_file).write_text(json.dumps(document))
    path = shm_dir / "det-frames"
    ring, _ = FrameBuffer.create(path, n_modules=1, frame_bytes=1 << 20, n_units=128, buffer_bytes=0, n_slots=8)
    arguments = ["pedestal", "--config", config_file, "--output", str(tmp_path / "pedestal.h5")]
    command = [sys.executable, "-m", "std_daq.cli", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "dark_images" in process.stderr.readline()  # it waits for images
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    ring.close()
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in err


def test_nothing_to_do_is_no_mistake(fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert exit_code_of(["shm", "list", "--json", "--directory", str(empty)]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert exit_code_of(["shm", "clean", "--json", "--directory", str(empty)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "removed": [],
        "unfinished": [],
        "kept": [],
        "failures": [],
        "n_bytes": 0,
    }
    assert exit_code_of(fill(["recover", "--json", "SOUND"])) == 0
    assert [one["actions"] for one in json.loads(capsys.readouterr().out)] == [[]]
