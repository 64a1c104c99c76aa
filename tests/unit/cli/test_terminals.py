"""Live commands on terminals of all kinds: with and without colours, small ones, and those that obey no sequences."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq
from prometheus_client import Gauge

from std_daq.cli.folded_path import folded_path
from std_daq.config.paths import make_runtime_dir
from std_daq.errors import EXIT_FAILED, exit_code_of_signal
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.load import load_config
from std_daq.service.presence import Presence
from std_daq.service.readiness import Readiness
from std_daq.telemetry.metrics import make_registry
from std_daq.terminal import terminal_size
from std_test_kit.terminal import Terminal

STD_DAQ = [sys.executable, "-m", "std_daq.cli"]
FILE = "/data/visitor/proposal-20261129/lysozyme-crystal-7/run-0042/images-of-the-first-rotation.h5"
PLAIN = [{"TERM": "dumb"}, {"TERM": ""}, {"NO_COLOR": "1"}]
ESCAPE = b"\x1b"


class Ready:
    is_ready = True


@pytest.fixture
def services(config_file: str) -> Iterator[list[Presence]]:
    """A beamline of seven services, which carries out a request."""
    config = load_config(config_file)
    make_runtime_dir(config)
    presences: list[Presence] = []
    names = ["udp-recv", "assembler", "writer-agent", "h5-writer-0", "h5-writer-1", "h5-writer-2", "live-stream"]
    for name in names:
        registry = make_registry(name)
        if name == "writer-agent":
            labels = ["request_id", "output_file"]
            Gauge("daq_run_request", "Run.", labels, registry=registry).labels("2c5e", FILE).set(1)
            Gauge("daq_run_images_requested", "Wanted.", registry=registry).set(1000)
            Gauge("daq_run_state", "State.", ["state"], registry=registry).labels("running").set(1)
        elif name.startswith("h5-writer"):
            Gauge("daq_ring_lag_images", "Lag.", ["reader"], registry=registry).labels(name).set(25)
            Gauge("daq_ring_slots", "Slots.", registry=registry).set(100)
        presence = Presence(0, Readiness()).__enter__()
        presences.append(presence)
        presence.appear(config, name, registry, is_only=True)
        presence.readiness.service = Ready()
    yield presences
    for presence in presences:
        presence.__exit__(None, None, None)


def status(config_file: str) -> list[str]:
    return [*STD_DAQ, "status", "--config", config_file, "--period-s", "0.1"]


def test_status_stays_on_the_screen_after_ctrl_c(config_file: str, services: list[Presence]) -> None:
    with Terminal(status(config_file), 200, 30) as terminal:
        terminal.wait_for("live-stream", FILE)
        assert "green" in terminal.colours
        assert not terminal.is_given_back
        terminal.press_ctrl_c()
        assert terminal.end() == 0
        assert terminal.is_given_back
        assert "live-stream" in "\n".join(terminal.lines)
        assert FILE in "\n".join(terminal.lines)


def test_status_gives_the_terminal_back_when_it_is_ended(config_file: str, services: list[Presence]) -> None:
    with Terminal(status(config_file)) as terminal:
        terminal.wait_for("live-stream")
        terminal.terminate()
        assert terminal.end() == exit_code_of_signal(15)
        assert terminal.is_given_back


@pytest.mark.parametrize("environment", PLAIN, ids=str)
def test_status_is_shown_again_and_again_without_colours(
    environment: dict[str, str], config_file: str, services: list[Presence]
) -> None:
    with Terminal(status(config_file), 100, 60, **environment) as terminal:
        terminal.wait_for("live-stream", "ready")
        assert terminal.colours == set()
        if "TERM" in environment:
            while len(re.findall(rb"det +ready", terminal.output)) < 3:
                terminal.read()
        terminal.press_ctrl_c()
        assert terminal.end() == 0
        assert "live-stream" in "\n".join(terminal.lines)
        assert (ESCAPE in terminal.output) == ("TERM" not in environment)


@pytest.mark.long
def test_status_fits_a_small_window_and_says_what_is_left_out(config_file: str, services: list[Presence]) -> None:
    with Terminal(status(config_file), 60, 10) as terminal:
        lines = terminal.wait_for("7 of 7 services are ready", "run: running", "more lines: a larger window or --once")
        assert len(lines) <= 10
        services[1].readiness.end()
        lines = terminal.wait_for("6 of 7 services are ready", "it is ending")
        assert any(line.startswith("assembler") and "not ready" in line for line in lines)
        terminal.resize(120, 40)
        lines = terminal.wait_for("live-stream", FILE)
        terminal.press_ctrl_c()
        assert terminal.end() == EXIT_FAILED


@pytest.mark.long
def test_path_in_a_narrow_window_is_broken_where_names_end(config_file: str, services: list[Presence]) -> None:
    with Terminal(status(config_file), 60, 40) as terminal:
        lines = terminal.wait_for("images-of-the-first-rotation.h5")
        first = next(number for number, line in enumerate(lines) if line.startswith("file "))
        parts = [line[len("file     ") :] for line in lines[first : first + 2]]
        assert parts == [
            "/data/visitor/proposal-20261129/lysozyme-crystal-7/",
            "run-0042/images-of-the-first-rotation.h5",
        ]
        terminal.press_ctrl_c()
        terminal.end()
        assert FILE in terminal.output.decode(), "what stays can be copied: the terminal breaks the line"


@pytest.mark.long
def test_columns_of_the_environment_count(config_file: str, services: list[Presence]) -> None:
    for columns in ("30", "500"):
        with Terminal([*status(config_file), "--once"], 120, 40, COLUMNS=columns) as terminal:
            assert terminal.end() == 0
            assert any("memory" in line for line in terminal.lines) == (columns != "30")


@contextmanager
def stream_of_images(folder: Path) -> Iterator[str]:
    """Publish an image again and again; yields the address."""
    address = f"ipc://{folder}/s"
    is_over = threading.Event()

    def publish() -> None:
        header = {"frame": 7, "shape": [512, 1024], "type": "uint16", "htype": "array-1.0", "is_good_frame": True}
        pixels = (np.arange(512 * 1024) // 16).astype(np.uint16)
        with zmq.Context() as context, context.socket(zmq.PUB) as socket:
            socket.bind(address)
            while not is_over.wait(0.02):
                socket.send_multipart([json.dumps(header).encode(), pixels.tobytes()])

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield address
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize(("columns", "lines"), [(60, 10), (20, 5)])
def test_picture_fits_the_window_and_stays(columns: int, lines: int, runtime: Path) -> None:
    with stream_of_images(runtime) as address:
        command = [*STD_DAQ, "view", "--address", address, "--period-s", "0.05"]
        with Terminal(command, columns, lines) as terminal:
            terminal.wait_for("\u2580", "image 7")
            assert len(terminal.colours) > 5
            terminal.press_ctrl_c()
            assert terminal.end() == 0
            assert terminal.is_given_back
            shown = "\n".join(terminal.lines)
            assert "\u2580" in shown
            assert "image 7" in shown


def test_picture_without_colours_is_made_of_characters(runtime: Path) -> None:
    with stream_of_images(runtime) as address:
        command = [*STD_DAQ, "view", "--address", address, "--n-images", "2"]
        with Terminal(command, 60, 12, NO_COLOR="1") as terminal:
            assert terminal.end() == 0
            assert terminal.colours == set()
            assert "%%" in "\n".join(terminal.lines)
        with Terminal(command, 60, 12, PYTHONIOENCODING="latin-1") as terminal:
            assert terminal.end() == 0
            assert "%%" in "\n".join(terminal.lines)
        with Terminal(command, 60, 12, TERM="dumb") as terminal:
            assert terminal.end() == 0
            assert ESCAPE not in terminal.output
            assert len(re.findall(rb"image 7 ", terminal.output)) == 2


def test_view_gives_the_cursor_back_when_it_is_ended(runtime: Path) -> None:
    with (
        stream_of_images(runtime) as address,
        Terminal([*STD_DAQ, "view", "--address", address], 60, 12) as terminal,
    ):
        terminal.wait_for("image 7")
        assert not terminal.is_given_back
        terminal.terminate()
        assert terminal.end() == exit_code_of_signal(15)
        assert terminal.is_given_back


def simulate(config_file: str, *more: str) -> list[str]:
    return [*STD_DAQ, "simulate", "--config", config_file, "--n-images", "10", "--rate-hz", "40", *more]


@pytest.mark.long
def test_progress_of_a_sender_stays_on_one_line(config_file: str) -> None:
    with Terminal(simulate(config_file), 20, 40) as terminal:
        terminal.end()
        assert sum("of 10 images" in line for line in terminal.lines) == 1
        assert "\\x1b" not in "".join(terminal.lines)
    with Terminal(simulate(config_file), 80, 10, TERM="dumb") as terminal:
        terminal.end()
        assert ESCAPE not in terminal.output
        assert "10 frames" in "\n".join(terminal.lines)


@pytest.mark.long
def test_sender_that_missed_its_rate_says_so(config_file: str) -> None:
    command = [*STD_DAQ, "simulate", "--config", config_file, "--n-images", "2000", "--rate-hz", "1e6", "--json"]
    with Terminal(command) as terminal:
        terminal.end()
        assert "the rate was not reached" in "\n".join(terminal.lines)
        (document,) = re.findall(r"\{.*\}", "".join(terminal.lines))
        assert json.loads(document)["behind_s"] > 0.1


@pytest.mark.long
@pytest.mark.parametrize("environment", [{}, *PLAIN], ids=str)
def test_progress_of_a_pedestal_run(
    environment: dict[str, str], config_file: str, shm_dir: Path, tmp_path: Path
) -> None:
    document = json.loads(Path(config_file).read_text()) | {"shared_memory": {"directory": str(shm_dir)}}
    Path(config_file).write_text(json.dumps(document))
    path = shm_dir / "det-frames"
    ring, _ = FrameBuffer.create(path, n_modules=1, frame_bytes=1 << 20, n_units=128, buffer_bytes=0, n_slots=8)
    with Terminal(
        [*STD_DAQ, "pedestal", "--config", config_file, "--output", str(tmp_path / "p.h5")], 60, 10, **environment
    ) as terminal:
        terminal.wait_for("dark_images" if "TERM" in environment else "0/1000", "gain 0")
        terminal.press_ctrl_c()
        assert terminal.end() == exit_code_of_signal(2)
        assert terminal.is_given_back
        assert "gain 0" in "\n".join(terminal.lines)
        assert (ESCAPE in terminal.output) == ("TERM" not in environment)
        assert not environment or terminal.colours == set()
    ring.close()


@pytest.mark.parametrize("text", ["0", "many", "-5", "1" * 50, "²"])
def test_columns_that_are_no_number_count_for_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/null").open("w") as nowhere, monkeypatch.context() as environment:  # pytest itself reads it
        environment.setenv("COLUMNS", text)
        environment.delenv("LINES", raising=False)
        size = terminal_size(nowhere)
    assert size == (200, 50)


def test_paths_are_broken_after_slashes() -> None:
    assert folded_path("/data/visitor/p1/run.h5", 12) == ["/data/", "visitor/p1/", "run.h5"]
    assert folded_path("/data/run.h5", 80) == ["/data/run.h5"]
    assert folded_path("/0123456789/x", 5) == ["/", "01234", "56789", "/x"]
    assert folded_path("", 5) == [""]
