"""What dump and replay say of packets that do not fit the configuration."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.packets.captures import CaptureWriter
from std_test_kit.free_ports import free_udp_ports

QUESTION = "4144 were expected: is the detector set to 1 Gb?"


@pytest.fixture
def eiger(tmp_path: Path, runtime: Path) -> tuple[str, int]:
    """A configuration, and its first UDP port."""
    assert runtime.is_dir()
    port = free_udp_ports(1)
    path = tmp_path / "detector.json"
    document = {
        "detector_name": "det",
        "detector_type": "eiger",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 256,
        "image_pixel_width": 514,
        "start_udp_port": port,
        "udp": {"address": "127.0.0.1"},
    }
    path.write_text(json.dumps(document))
    return str(path), port


@pytest.fixture
def one_gigabit(eiger: tuple[str, int]) -> Iterator[None]:
    """Sends packets of EIGER's 1 Gb interface to the port, until the test ends."""
    stop = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.wait(0.01):
                sender.sendto(bytes(1072), ("127.0.0.1", eiger[1]))

    thread = threading.Thread(target=send)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("one_gigabit")
def test_dump_says_which_packets_do_not_fit(
    eiger: tuple[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, port = eiger
    command = ["dump", "--config", config, "--n-packets", "5", "--output"]
    assert main([*command, str(tmp_path / "one")]) == 0
    assert f"5 packets of 1072 bytes came on UDP port {port} (module 0), {QUESTION}" in capsys.readouterr().out
    assert main([*command, str(tmp_path / "two"), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts["lengths"] == {str(port): {"1072": 5}}
    assert len(counts["remarks"]) == 1


def test_dump_says_where_nothing_came(
    eiger: tuple[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, port = eiger
    assert main(["dump", "--config", config, "--duration-s", "0.05", "--output", str(tmp_path / "one")]) == 1
    assert f"no packet came on UDP port {port} (module 0)" in capsys.readouterr().out


def test_replay_says_which_packets_do_not_fit(
    eiger: tuple[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, port = eiger
    path = tmp_path / f"{port}.dat"
    with CaptureWriter(path) as writer:
        for n_bytes in (1072, 4144, 1072):
            writer.append(struct.pack("<Q", 7) + bytes(n_bytes - 8))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", port))
        assert main(["replay", "--config", config, str(path), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts["n_packets"] == 3
    assert counts["remarks"] == [f"2 packets of 1072 bytes came on UDP port {port} (module 0), {QUESTION}"]
