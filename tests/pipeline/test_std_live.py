"""std-live with real servers: hosts, status, initialisation, pictures, exit codes."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from std_daq.cli.__main__ import main
from std_daq.errors import EXIT_DONE, EXIT_FAILED, EXIT_WRONG_CALL
from std_test_kit.live_view_process import LiveViewProcess

WITHOUT_DISPLAY = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
# Where the tests run in the background of a shell, programs begin deaf to SIGINT.
PROGRAM = """
import signal, sys
from std_daq.cli.__main__ import live
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(live())
"""
COMMAND = [sys.executable, "-c", PROGRAM]


def std_live(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, env=WITHOUT_DISPLAY, check=False
    )


def told(*arguments: object) -> dict[str, Any]:
    done = std_live(*arguments, "--json")
    assert done.returncode == EXIT_DONE, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def server() -> Iterator[LiveViewProcess]:
    with LiveViewProcess(
        start={"simulate": True, "update_interval_s": 0.01}, simulation={"rate_hz": 40, "module_ids": [1, 300]}
    ) as process:
        yield process


@pytest.fixture
def daq_config(server: LiveViewProcess, tmp_path: Path) -> Path:
    file = tmp_path / "daq_config.json"
    file.write_text(json.dumps({"daq_nodes": [{"ip_addr": server.target}, {"ip_addr": "unix:/nonexistent"}]}))
    return file


@pytest.mark.long
def test_hosts_services_and_status_are_told_in_words_and_as_a_document(
    server: LiveViewProcess, daq_config: Path
) -> None:
    done = std_live(daq_config, "--host", server.target, "--ping", "--list-hosts", "--reflect-services", "--status")
    assert done.returncode == EXIT_DONE, done.stderr
    order = [f"{server.target} answers", f"{server.target}  ", "unix:/nonexistent  ", "StreamImages(", "source ", "300"]
    places = [done.stdout.index(text) for text in order]
    assert places == sorted(places)
    document = told(daq_config, "--list-hosts", "--status")
    assert {name: one["answers"] for name, one in document["hosts"].items()} == {
        server.target: True,
        "unix:/nonexistent": False,
    }
    products = document["status"][server.target]["products"]
    assert {row["module_id"] for row in products} == {1, 300}


@pytest.mark.long
def test_hosts_that_do_not_answer_end_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("--list-hosts", "--status", "--init-sim", "--plot-speed"):
        assert main(["live", "--host", "unix:/nonexistent", action]) == EXIT_FAILED
        assert "unix:/nonexistent" in "".join(capsys.readouterr()), action
    assert main(["live", "--host", "unix:/nonexistent", "--ping", "--json"]) == EXIT_FAILED
    assert "does not answer" in json.loads(capsys.readouterr().out)["error"]


def test_initialisation_tells_what_went_wrong(server: LiveViewProcess, tmp_path: Path) -> None:
    config = tmp_path / "hp_io_config.json"
    config.write_text(json.dumps({"data_dir": "/nonexistent", "update_interval_seconds": 0.1, "force": True}))
    done = std_live("--host", server.target, "--init", config)
    assert done.returncode == EXIT_FAILED
    assert "data_dir '/nonexistent' does not exist." in done.stdout
    assert told("--host", server.target, "--init-sim")["init"] == {server.target: ""}


def test_token_is_read_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    with LiveViewProcess(token_file=str(token)) as server:
        call = ["live", "--host", server.target, "--status"]
        assert main([*call, "--token-file", str(token)]) == EXIT_DONE
        assert "hp_io task is not initialized." in capsys.readouterr().out
        assert main(call) == EXIT_FAILED
        assert "UNAUTHENTICATED" in capsys.readouterr().err


@pytest.mark.long
def test_plots_become_pictures_without_a_display(server: LiveViewProcess, tmp_path: Path) -> None:
    png = tmp_path / "now.png"
    document = told(
        *("--host", server.target, "--plot-view", "--plot-phdist", "--plot-speed"),
        *("--frames", 30, "--refresh-period", 30, "--png", png, "--module-ids", 1),
    )
    assert document["progress"][server.target]["received"] >= 30
    for name in ("now-view.png", "now-phdist.png"):
        with Image.open(tmp_path / name) as picture:
            assert len(picture.getcolors(2**20)) > 100, name
    assert sorted(file.name for file in tmp_path.iterdir()) == ["now-phdist.png", "now-view.png"]


@pytest.mark.long
def test_speed_is_told_each_second_and_the_command_ends_with_its_time(server: LiveViewProcess) -> None:
    begun_s = time.monotonic()
    done = std_live("--host", server.target, "--plot-speed", "--seconds", "1.5")
    assert done.returncode == EXIT_DONE, done.stderr
    assert time.monotonic() - begun_s > 1.5
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(f"{server.target}: " in line and "while away; 0 reconnects" in line for line in lines)


@pytest.mark.long
def test_command_ends_with_1_if_no_image_comes_and_with_2_if_there_is_nowhere_to_show_it(
    server: LiveViewProcess,
) -> None:
    done = std_live("--host", server.target, "--plot-speed", "--module-ids", 7, "--seconds", "0.5")
    assert (done.returncode, "no image has come" in done.stderr) == (EXIT_FAILED, True)
    done = std_live("--host", server.target, "--plot-view")
    assert (done.returncode, "there is no display" in done.stderr) == (EXIT_WRONG_CALL, True)


@pytest.mark.long
def test_terminal_shows_pictures_of_characters_until_ctrl_c(server: LiveViewProcess) -> None:
    ours, its = pty.openpty()
    command = [*COMMAND, "--host", server.target, "--plot-view", "--refresh-period", "0.1"]
    environment = WITHOUT_DISPLAY | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=subprocess.PIPE, env=environment) as process:
        os.close(its)
        shown = b""
        try:
            while b"module 300" not in shown:
                shown += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            while True:
                try:
                    if not os.read(ours, 65536):
                        break
                except OSError:  # the terminal is gone with the process
                    break
            assert process.wait(10) == EXIT_DONE
        finally:
            process.kill()
    os.close(ours)
    assert "▀".encode() in shown
