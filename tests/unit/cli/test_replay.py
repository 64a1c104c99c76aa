import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.packets.captures import CaptureWriter, capture_path

N_PACKETS = 6
PACKET_BYTES = 4144


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


@pytest.fixture
def config_file(tmp_path: Path, runtime: Path, receiver: socket.socket) -> Path:
    path = tmp_path / "detector.json"
    config = {
        "detector_name": "eiger",
        "detector_type": "eiger",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 256,
        "image_pixel_width": 514,
        "start_udp_port": receiver.getsockname()[1],
        "module_positions": {"0": [0, 0, 513, 255]},
    }
    path.write_text(json.dumps(config))
    return path


@pytest.fixture
def capture(tmp_path: Path, receiver: socket.socket) -> Path:
    path = capture_path(tmp_path, receiver.getsockname()[1])
    with CaptureWriter(path) as writer:
        for frame in range(N_PACKETS):
            writer.append(frame.to_bytes(8, "little") + bytes(PACKET_BYTES - 8))
    return path


def test_healthy_capture_is_sent_and_ends_with_0(
    config_file: Path, capture: Path, receiver: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--config", str(config_file), str(capture), "--json"]) == 0
    assert len([receiver.recv(65535) for _ in range(N_PACKETS)]) == N_PACKETS
    told = capsys.readouterr()
    assert json.loads(told.out)["n_damaged"] == 0
    assert "damaged" not in told.err


def test_rest_of_a_cut_capture_is_sent_and_the_exit_code_says_that_it_is_cut(
    config_file: Path, capture: Path, receiver: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    with capture.open("r+b") as file:
        file.truncate(capture.stat().st_size - 1)
    assert main(["replay", "--config", str(config_file), str(capture)]) == 1
    frames = [int.from_bytes(receiver.recv(65535)[:8], "little") for _ in range(N_PACKETS - 1)]
    assert frames == list(range(N_PACKETS - 1))
    told = capsys.readouterr()
    assert f"{N_PACKETS - 1} packets" in told.out
    assert f"damaged, the rest was sent: {capture}: record {N_PACKETS - 1}" in told.err
    assert f"{PACKET_BYTES + 8 - 1} bytes are left out" in told.err


def test_capture_without_a_whole_packet_sends_nothing(
    config_file: Path, capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture.write_bytes(capture.read_bytes()[:100])
    assert main(["replay", "--config", str(config_file), str(capture)]) == 1
    assert "record 0 at byte 0" in capsys.readouterr().err


def test_capture_without_any_packet_is_told_and_ends_with_1(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = tmp_path / "empty.pcap"
    capture.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    assert main(["replay", "--config", str(config_file), str(capture)]) == 1
    assert f"{capture}: no datagrams to the detector's ports" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["replay"], ["simulate", "--n-images", "3"]])
def test_sending_to_nobody_is_told_and_ends_with_1(
    command: list[str], config_file: Path, capture: Path, receiver: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    port = receiver.getsockname()[1]
    more = [str(capture)] if command == ["replay"] else []
    assert main([*command, "--config", str(config_file), *more]) == 0
    receiver.close()
    assert main([*command, "--config", str(config_file), *more]) == 1
    assert f"nobody listened on UDP port {port} when the last packets came" in capsys.readouterr().err
