"""Images from one server to another: real processes, real rings, and a network that fails."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from std_daq.config.load import load_config
from std_daq.config.paths import image_buffer_path
from std_daq.testing.far_reader import FarReader
from std_daq.testing.store_driver import RingPublisher
from std_daq.testing.tcp_proxy import TcpProxy

SHAPE = (64, 128)
N_MODULES = 8


def free_tcp_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Server:
    """One server: a configuration, its ring and its processes."""

    def __init__(self, folder: Path, shm_dir: Path, runtime: Path, name: str, replication: dict[str, Any]) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        (shm_dir / name).mkdir()
        self.config_file = self.folder / "detector.json"
        document = {
            "detector_name": "EG",
            "detector_type": "gigafrost",
            "n_modules": N_MODULES,
            "bit_depth": 12,
            "image_pixel_height": SHAPE[0],
            "image_pixel_width": SHAPE[1],
            "start_udp_port": 50000,
            "shared_memory": {"directory": str(shm_dir / name), "image_slots": 4000},
            "runtime_dir": str(runtime / name),
            "replication": {"timeout_s": 0.5, **replication},
        }
        self.config_file.write_text(json.dumps(document))
        self.config = load_config(self.config_file)
        self.ring_path = image_buffer_path(self.config)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{module}.log").open("ab") as log:
            command = [sys.executable, "-m", module, "--config", str(self.config_file), *arguments]
            process = subprocess.Popen(command, stderr=log)
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for log in self.folder.glob("*.log"):
            sys.stderr.write(log.read_text())


MakeServer = Callable[..., Server]


@pytest.fixture
def make_server(tmp_path: Path, shm_dir: Path, runtime: Path) -> Iterator[MakeServer]:
    """Makes a server: ``make_server("near", send=[...])``."""
    made: list[Server] = []

    def make(name: str, **replication: Any) -> Server:
        made.append(Server(tmp_path, shm_dir, runtime, name, replication))
        return made[-1]

    yield make
    for server in made:
        server.close()


def test_every_image_comes_over_once_though_the_link_is_cut_and_the_receiver_killed(make_server: MakeServer) -> None:
    n_images = 3000
    port = free_tcp_port()
    near = make_server("near", send=[{"address": f"tcp://127.0.0.1:{port}"}])
    publisher = RingPublisher(near.ring_path, shape=SHAPE, n_slots=4000, n_modules=N_MODULES)
    near.start("std_stream_send")
    with TcpProxy(port) as link:
        far = make_server("far", receive={"sources": [f"tcp://127.0.0.1:{link.port}"], "name": "far"})
        receiver = far.start("std_stream_recv")
        reader = FarReader(far.ring_path)
        for image_id in range(n_images):
            publisher.publish(image_id)
            if image_id in {500, 1000, 2000}:
                reader.read_until(image_id - 100)
                link.cut()
                link.restore()
            if image_id == 1500:
                reader.read_until(1200)
                receiver.kill()
                receiver.wait()
                receiver = far.start("std_stream_recv")
            if image_id % 10 == 0:
                time.sleep(0.005)
        reader.read_until(n_images)
        far.close()
    near.close()
    assert reader.ids == list(range(n_images))
    assert (len(reader.whole), reader.lost, reader.wrong) == (n_images, set(), set())
    reader.close()
    publisher.close()
