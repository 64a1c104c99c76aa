"""Images from one server to another: real processes, real rings, and a network that fails."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.files import layout
from std_daq.recording.status_channel import StatusListener
from std_daq.service.record import read_records
from std_daq.streams.tcp.authority import CA_FILE, Authority, Part
from std_test_kit.beamline import Beamline, wait_accepted
from std_test_kit.far_reader import FarReader
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.store_driver import RingPublisher
from std_test_kit.tcp_proxy import TcpProxy
from std_test_kit.wait import wait_until

SMALL, LARGE = (64, 128), (1008, 1040)
N_MODULES = 8
TIMEOUT_S = 0.5


class Server:
    """One server: a configuration, its ring and its processes."""

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self.folder = folder
        self.document = document
        self.config_file = folder / "detector.json"
        self.config_file.write_text(json.dumps(document))
        self.config: DetectorConfig = load_config(self.config_file)
        self.ring_path = image_buffer_path(self.config)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._readers: list[FarReader] = []
        self._publishers: list[RingPublisher] = []

    def start(self, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{module}.log").open("ab") as log:
            command = [sys.executable, "-m", module, "--config", str(self.config_file), *arguments]
            self.processes.append(subprocess.Popen(command, stderr=log))
        return self.processes[-1]

    def log(self, module: str) -> str:
        return (self.folder / f"{module}.log").read_text()

    def log_of_all(self) -> str:
        return "".join(log.read_text() for log in self.folder.glob("*.log"))

    def make_ring(self, n_slots: int) -> RingPublisher:
        publisher = RingPublisher(self.ring_path, shape=self.config.image_shape, n_slots=n_slots, n_modules=N_MODULES)
        self._publishers.append(publisher)
        return publisher

    def read_ring(self) -> FarReader:
        self._readers.append(FarReader(self.ring_path))
        return self._readers[-1]

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
        for reader in self._readers:
            reader.close()
        for publisher in self._publishers:
            publisher.close()
        for log in self.folder.glob("*.log"):
            sys.stderr.write(log.read_text())


MakeServer = Callable[..., Server]


@pytest.fixture
def make_server(tmp_path: Path, shm_dir: Path, runtime: Path) -> Iterator[MakeServer]:
    """Makes a server: ``make_server("near", send=[...])``."""
    made: list[Server] = []

    def make(name: str, shape: tuple[int, int] = SMALL, slots: int = 4000, **replication: Any) -> Server:
        (folder := tmp_path / name).mkdir()
        (directory := shm_dir / name).mkdir()
        document = {
            "detector_name": "GF",
            "detector_type": "gigafrost",
            "n_modules": N_MODULES,
            "bit_depth": 12,
            "image_pixel_height": shape[0],
            "image_pixel_width": shape[1],
            "start_udp_port": 50000,
            "shared_memory": {"directory": str(directory), "image_slots": slots},
            "runtime_dir": str(runtime / name),
            "writer": {"output_roots": [str(tmp_path)], "image_timeout_s": 10.0, "min_free_gb": 0.0},
            "replication": {"timeout_s": TIMEOUT_S, **replication},
        }
        made.append(Server(folder, document))
        return made[-1]

    yield make
    while made:
        made.pop().close()


def send_at(*ports: int, **more: Any) -> list[dict[str, Any]]:
    return [{"address": f"tcp://127.0.0.1:{port}", **more} for port in ports]


def receive_from(*ports: int, name: str = "far", **more: Any) -> dict[str, Any]:
    return {"sources": [f"tcp://127.0.0.1:{port}" for port in ports], "name": name, **more}


@pytest.mark.long
def test_every_image_comes_over_once_though_the_link_fails_and_the_receiver_is_killed(make_server: MakeServer) -> None:
    n_images = 3000
    port = free_tcp_port()
    near = make_server("near", send=send_at(port))
    publisher = near.make_ring(n_slots=4000)
    near.start("std_stream_send")
    with TcpProxy(port) as link:
        far = make_server("far", receive=receive_from(link.port))
        receiver = far.start("std_stream_recv")
        reader = far.read_ring()
        for image_id in range(n_images):
            publisher.publish(image_id)
            if image_id in {500, 1000}:
                reader.read_until(image_id - 100)
                link.cut()
                link.restore()
            elif image_id == 1500:
                reader.read_until(1200)
                receiver.kill()
                receiver.wait()
                far.start("std_stream_recv")
            elif image_id == 2000:
                reader.read_until(1800)
                link.stall()
            elif image_id == 2500:
                link.restore()
        reader.read_until(n_images)
    assert reader.ids == list(range(n_images))
    assert (len(reader.whole), reader.lost, reader.wrong) == (n_images, set(), set())


@pytest.mark.long
def test_large_images_of_a_small_ring_are_whole_or_listed_as_lost(make_server: MakeServer) -> None:
    """The near ring turns over many times while the receiver is killed and the link cut in the middle of images."""
    n_images = 150
    port = free_tcp_port()
    near = make_server("near", LARGE, send=send_at(port))
    publisher = near.make_ring(n_slots=8)
    near.start("std_stream_send")
    with TcpProxy(port) as link:
        far = make_server("far", LARGE, slots=200, receive=receive_from(link.port, start="oldest"))
        receiver = far.start("std_stream_recv")
        reader = far.read_ring()
        publisher.publish(0)
        reader.read_until(1)
        for image_id in range(1, n_images):
            publisher.publish(image_id)
            time.sleep(0.003)
            if image_id in {50, 120}:
                link.cut()
                link.restore()
            elif image_id == 80:
                receiver.kill()
                receiver.wait()
                far.start("std_stream_recv")
        reader.read_until(n_images)
    assert reader.ids == list(range(n_images))
    assert reader.wrong == set()
    assert reader.whole | reader.lost == set(range(n_images))
    # What is in the near ring at the end has not been lost.
    assert set(range(n_images - 2, n_images)) <= reader.whole


@pytest.mark.long
def test_stuck_receiver_changes_nothing_for_the_others(make_server: MakeServer) -> None:
    n_images = 1000
    port = free_tcp_port()
    near = make_server("near", send=send_at(port))
    publisher = near.make_ring(n_slots=200)
    sender = near.start("std_stream_send")
    servers = {name: make_server(name, receive=receive_from(port, name=name)) for name in ("quick", "stuck")}
    readers = {name: server.read_ring() for name, server in servers.items()}
    receivers = {name: server.start("std_stream_recv") for name, server in servers.items()}
    publisher.publish(0)
    for reader in readers.values():
        reader.read_until(1)
    receivers["stuck"].send_signal(signal.SIGSTOP)
    for image_id in range(1, n_images):
        publisher.publish(image_id)
        if image_id % 100 == 0:
            readers["quick"].read_until(image_id - 50)
    readers["quick"].read_until(n_images)
    assert readers["quick"].whole == set(range(n_images))
    receivers["stuck"].send_signal(signal.SIGCONT)
    readers["stuck"].read_until(n_images)
    assert readers["stuck"].ids == list(range(n_images))
    assert readers["stuck"].wrong == set()
    assert set(range(n_images - 200, n_images)) <= readers["stuck"].whole
    assert sender.poll() is None


@pytest.mark.long
def test_run_on_the_far_server_lists_what_was_lost_between(
    make_server: MakeServer, tmp_path: Path, broker_url: str
) -> None:
    port = free_tcp_port()
    near = make_server("near", send=send_at(port))
    publisher = near.make_ring(n_slots=32)
    near.start("std_stream_send")
    file = tmp_path / "run.h5"
    with TcpProxy(port) as link:
        far = make_server("far", receive=receive_from(link.port))
        reader = far.read_ring()
        with (
            Beamline(far.folder, broker_url, far.document) as beamline,
            StatusListener(broker_url) as listener,
        ):
            listener.connection.wait_connected(10.0)
            with beamline.write(file, "--n-images", "200") as writing:
                wait_accepted(listener, file)
                for image_id in range(100):
                    publisher.publish(image_id)
                    if image_id % 10 == 9:
                        reader.read_until(image_id + 1)
                link.cut()
                for image_id in range(100, 200):
                    publisher.publish(image_id)
                link.restore()
                exit_code, out, _ = writing.finish()
            reader.read_until(200)
            status_code, status, _ = beamline.run("status", "--json", "--once")
        reader.close()
    report = json.loads(out)
    lost = list(range(100, 168))
    assert sorted(reader.lost) == lost
    assert (exit_code, report["verdict"], report["lost_image_ids"]) == (3, "incomplete", lost)
    assert report["n_written"] == 132
    with h5py.File(file) as written:
        assert written[layout.IMAGE_ID][:].tolist() == [*range(100), *range(168, 200)]
    instances = [service["instance"] for service in json.loads(status)["services"]]
    assert (status_code, sorted(instances)) == (0, ["h5-writer-0", "stream-recv", "writer-agent"])


@pytest.mark.long
def test_receivers_of_shares_have_all_images_between_them(make_server: MakeServer) -> None:
    port = free_tcp_port()
    near = make_server("near", send=send_at(port))
    publisher = near.make_ring(n_slots=1000)
    for image_id in range(300):
        publisher.publish(image_id)
    near.start("std_stream_send")
    readers = []
    for index in range(2):
        far = make_server(f"far-{index}", receive=receive_from(port, share_index=index, share_of=2))
        far.start("std_stream_recv")
        readers.append(far.read_ring())
    for index, reader in enumerate(readers):
        reader.read_until(150)
        assert reader.whole == set(range(index, 300, 2))


@pytest.mark.long
def test_sender_that_is_killed_is_replaced_by_another(make_server: MakeServer) -> None:
    n_images = 1000
    ports = free_tcp_port(), free_tcp_port()
    near = make_server("near", send=send_at(*ports))
    publisher = near.make_ring(n_slots=2000)
    near.start("std_stream_send")
    doomed = near.start("std_stream_send", "--sender", "1")
    far = make_server("far", receive=receive_from(*ports))
    far.start("std_stream_recv")
    reader = far.read_ring()
    for image_id in range(n_images):
        publisher.publish(image_id)
        if image_id == 500:
            reader.read_until(400)
            doomed.kill()
            doomed.wait()
    reader.read_until(n_images)
    assert reader.ids == list(range(n_images))
    assert reader.whole == set(range(n_images))


def tls_of(folder: Path, name: str, part: Part) -> dict[str, str]:
    """Make a certificate in a folder; returns what the configuration says of it."""
    authority = Authority(folder)
    authority.make()
    cert_file, key_file = authority.issue(name, part, days=1)
    return {"ca_file": str(folder / CA_FILE), "cert_file": str(cert_file), "key_file": str(key_file)}


@pytest.mark.long
def test_only_receivers_with_a_certificate_that_is_trusted_are_let_in(make_server: MakeServer, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    near_tls = tls_of(ours, "near", Part.SERVER)
    port = free_tcp_port()
    near = make_server("near", send=send_at(port, tls=near_tls))
    publisher = near.make_ring(n_slots=100)
    for image_id in range(50):
        publisher.publish(image_id)
    near.start("std_stream_send")

    def far_server(name: str, tls: dict[str, str]) -> Server:
        server = make_server(name, receive=receive_from(port, name=name, tls={**tls, "server_name": "near"}))
        server.start("std_stream_recv")
        return server

    foreign = {**tls_of(theirs, "stranger", Part.CLIENT), "ca_file": near_tls["ca_file"]}
    stranger, friend = far_server("stranger", foreign), far_server("friend", tls_of(ours, "friend", Part.CLIENT))
    reader = friend.read_ring()
    reader.read_until(50)
    assert reader.whole == set(range(50))
    assert stranger.read_ring().read() == 0
    wait_until(lambda: "not from an authority in ca_file" in near.log("std_stream_send"), 20.0, near.log_of_all)
    wait_until(lambda: "not from an authority in its ca_file" in stranger.log("std_stream_recv"), 20.0, near.log_of_all)
    (record,) = read_records(stranger.config)
    assert record.instance == "stream-recv"
    # Who is trusted later needs no restart.
    with Path(near_tls["ca_file"]).open("ab") as trusted:
        trusted.write((theirs / CA_FILE).read_bytes())
    late = stranger.read_ring()
    late.read_until(50)
    assert late.whole == set(range(50))


@pytest.mark.long
def test_sender_and_receiver_of_which_one_has_tls_say_so(make_server: MakeServer, tmp_path: Path) -> None:
    port = free_tcp_port()
    near = make_server("near", send=send_at(port))
    near.make_ring(n_slots=100)
    near.start("std_stream_send")
    far = make_server("far", receive=receive_from(port, tls=tls_of(tmp_path / "ours", "far", Part.CLIENT)))
    far.start("std_stream_recv")
    wait_until(lambda: "the peer speaks TLS" in near.log("std_stream_send"), 20.0, near.log_of_all)
    wait_until(lambda: "the peer has no certificates" in far.log("std_stream_recv"), 20.0, far.log_of_all)


@pytest.mark.long
@pytest.mark.parametrize("module", ["std_stream_send", "std_stream_recv"])
def test_service_does_not_start_with_a_key_that_others_may_read(
    make_server: MakeServer, tmp_path: Path, module: str
) -> None:
    part, side = (Part.SERVER, "send.0") if module == "std_stream_send" else (Part.CLIENT, "receive")
    tls = tls_of(tmp_path / "ours", "here", part)
    Path(tls["key_file"]).chmod(0o644)
    port = free_tcp_port()
    replication = {"send": send_at(port, tls=tls)} if part is Part.SERVER else {"receive": receive_from(port, tls=tls)}
    server = make_server("here", **replication)
    assert server.start(module).wait(20) == 2
    said = server.log(module)
    assert f"replication.{side}.tls.key_file" in said
    assert tls["key_file"] in said
    assert f"chmod o= {tls['key_file']}" in said
