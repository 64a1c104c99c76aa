"""The receiver over loopback: real sockets, rings and threads; and as a process that is stopped, killed, started."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import generate_latest

from std_daq.errors import PortError, SharedMemoryError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config import DetectorConfig, ModuleRange, parse_config
from std_daq.imaging.config.paths import frame_buffer_path
from std_daq.imaging.detectors.reference_receiver import receive_frame
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.packets.sending import PacketSender
from std_test_kit.free_ports import free_tcp_port, free_udp_ports
from std_test_kit.services import service_context
from std_udp_recv.__main__ import main, start
from std_udp_recv.records import REASONS

DEADLINE_S = 20.0


def document(shm_dir: Path, detector_type: str, n_modules: int, **changes: Any) -> dict[str, Any]:
    shape, bits, positions, n_ports = {
        "jungfrau": ((512 * n_modules, 1024), 16, {i: [0, 512 * i, 1023, 512 * i + 511] for i in range(n_modules)}, 1),
        "eiger": ((256 * n_modules, 514), 4, {i: [0, 256 * i, 513, 256 * i + 255] for i in range(n_modules)}, 1),
        "gigafrost": ((128, 480), 12, {}, 2),
    }[detector_type]
    start = free_udp_ports(n_ports * n_modules)
    return {
        "detector_name": "udp-test",
        "detector_type": detector_type,
        "n_modules": n_modules,
        "bit_depth": bits,
        "image_pixel_height": shape[0],
        "image_pixel_width": shape[1],
        "start_udp_port": start,
        "module_positions": positions,
        "shared_memory": {"directory": str(shm_dir), "frame_slots": 16},
        "udp": {"address": "127.0.0.1", "module_timeout_s": 0.3, "idle_flush_s": 0.1, "window_frames": 2},
        **changes,
    }


class Rig:
    """A Receiver in this process and a detector that sends to it."""

    def __init__(self, config: DetectorConfig, part: ModuleRange | None = None) -> None:
        self.config = config
        self.detector = open_detector(config)
        part = part or config.receivers[0]
        self.context = service_context(config, modules=str(part))
        self.receiver = start(self.context)
        self.ring = FrameBuffer.attach(frame_buffer_path(config))
        self.journal = self.ring.journals[part[0]]
        self._senders: dict[int, PacketSender] = {}
        self._chance = np.random.default_rng(5)
        self._sent: dict[tuple[int, int], list[bytes]] = {}

    def send(
        self, frame_number: int, modules: range | None = None, lost: Callable[[int, int], bool] = lambda *_: False
    ) -> None:
        """Send an image; ``lost`` says which (module, packet) do not get through."""
        for module in modules or range(self.config.n_modules):
            shape = self.detector.raw_frame_shape()
            raw = self._chance.integers(0, 2**self.config.bit_depth, shape).astype(np.uint16)
            frame = self.detector.packets(module, frame_number, raw, pulse_id=frame_number + 100, timestamp=9)
            kept = np.array([i for i in range(len(frame.packets)) if not lost(module, i)], np.int64)
            self._sent[frame_number, module] = [frame.packets[i, : frame.lengths[i]].tobytes() for i in kept]
            if frame.port not in self._senders:
                self._senders[frame.port] = PacketSender("127.0.0.1", self.config.start_udp_port + frame.port)
            self._senders[frame.port].send(frame.packets, lengths=frame.lengths, order=kept)

    def wait(self, n_exposures: int) -> np.ndarray:
        """Step until so many exposures were published in all; returns their RawMetadata."""
        deadline = time.monotonic() + DEADLINE_S
        while self.journal.next_sequence < n_exposures and time.monotonic() < deadline:
            self.receiver.step()
        entries = self.journal.read(0, 10_000).entries
        assert len(entries) == n_exposures
        return entries

    def assert_frame(self, frame_number: int, module: int) -> None:
        """Compare a frame in the ring with what the packets that were sent give."""
        frame, received = receive_frame(self.detector.packet_layout(module), self._sent[frame_number, module])
        layout = self.detector.packet_layout(module)
        units = np.unpackbits(received.view(np.uint8), bitorder="little")[: layout.n_units].astype(bool)
        frame.reshape(layout.n_units, -1)[~units] = 0
        index = self.ring.index(frame_number, module)
        header = self.ring.headers[index]
        assert int(header["frame_index"]) == frame_number
        assert int(header["generation"]) % 2 == 0
        assert (header["received"] == received).all()
        assert int(header["n_received_packets"]) == len(self._sent[frame_number, module])
        assert (self.ring.frame(index) == frame).all()

    def metric(self, name: str, **labels: str) -> float:
        return self.context.registry.get_sample_value(name, labels) or 0.0

    def close(self) -> None:
        for sender in self._senders.values():
            sender.close()
        self.receiver.close()
        del self.journal
        self.ring.close()


@pytest.fixture
def open_rig() -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def open_one(config: DetectorConfig, part: ModuleRange | None = None) -> Rig:
        rigs.append(Rig(config, part))
        return rigs[-1]

    yield open_one
    for rig in rigs:
        rig.close()


@pytest.mark.parametrize(("detector_type", "n_modules"), [("jungfrau", 2), ("eiger", 4), ("gigafrost", 8)])
def test_frames_of_every_detector_are_byte_exact_with_losses_known(
    open_rig, shm_dir, runtime, detector_type, n_modules
):
    content = document(shm_dir, detector_type, n_modules)
    content["udp"]["module_timeout_s"] = 30.0  # no module is missing, however long the sender takes
    rig = open_rig(parse_config(content))
    first = 1000
    for frame_number in range(first, first + 10):
        rig.send(frame_number, lost=lambda module, packet, f=frame_number: f == 1004 and (module, packet) == (1, 1))
    entries = rig.wait(10)
    assert entries["frame_index"].tolist() == list(range(first, first + 10))
    status = np.zeros(10, np.uint64)
    status[4] = ImageStatus.MISSING_PACKETS
    assert entries["status"].tolist() == status.tolist()
    for frame_number in range(first, first + 10):
        for module in range(n_modules):
            rig.assert_frame(frame_number, module)
    index = rig.ring.index(1004, 1)
    assert int(rig.ring.headers[index]["n_missing_packets"]) == 1
    assert rig.metric("daq_udp_packets_lost_total", module="1") == 1


def test_72_ports_at_once(open_rig, shm_dir, runtime):
    rig = open_rig(parse_config(document(shm_dir, "eiger", 72, deactivate=[62, 63, 66, 67])))
    on = [module for module in range(72) if module not in (62, 63, 66, 67)]
    for frame_number in range(5):
        rig.send(frame_number)
    entries = rig.wait(5)
    assert entries["status"].tolist() == [0] * 5
    for frame_number in range(5):
        for module in on:
            rig.assert_frame(frame_number, module)


@pytest.mark.alone
def test_missing_module_delays_an_exposure_no_longer_than_the_time_limit(open_rig, shm_dir, runtime):
    rig = open_rig(parse_config(document(shm_dir, "eiger", 2)))
    started = time.monotonic()
    rig.send(7, modules=range(1))
    entries = rig.wait(1)
    assert time.monotonic() - started < 1.0
    assert entries["status"].tolist() == [ImageStatus.MISSING_MODULES]
    assert entries["n_missing_modules"].tolist() == [1]


def test_exposures_wait_for_a_dead_module_only_as_long_as_the_ring_holds_them(open_rig, shm_dir, runtime):
    udp = {"address": "127.0.0.1", "module_timeout_s": 600.0, "idle_flush_s": 0.1}
    rig = open_rig(parse_config(document(shm_dir, "eiger", 2, udp=udp, module_sync_queue_size=64)))
    for frame_number in range(15):  # of 16 slots
        rig.send(frame_number, modules=range(1))
    assert rig.wait(3)["frame_index"].tolist() == [0, 1, 2]
    for frame_number in range(3):
        rig.assert_frame(frame_number, 0)


def test_foreign_packets_do_not_keep_the_last_frame_open(open_rig, shm_dir, runtime):
    udp = {"address": "127.0.0.1", "idle_flush_s": 0.3, "module_timeout_s": 1.0}
    rig = open_rig(parse_config(document(shm_dir, "eiger", 2, udp=udp)))
    rig.send(7, lost=lambda module, packet: packet == 3)
    deadline = time.monotonic() + DEADLINE_S
    with PacketSender("127.0.0.1", rig.config.start_udp_port) as foreign:
        while rig.journal.next_sequence == 0 and time.monotonic() < deadline:
            foreign.send(np.zeros((1, 4144), np.uint8))
            rig.receiver.step()
    (entry,) = rig.wait(1)
    assert int(entry["status"]) == ImageStatus.MISSING_PACKETS
    assert rig.metric("daq_udp_packets_rejected_total", module="0", reason="foreign_detector") >= 3


def test_restarted_detector_goes_on_in_a_new_epoch_with_all_its_frames(open_rig, shm_dir, runtime):
    rig = open_rig(parse_config(document(shm_dir, "eiger", 2)))
    for frame_number in range(100, 105):
        rig.send(frame_number)
    for frame_number in range(4):
        rig.send(frame_number)
    entries = rig.wait(9)
    assert entries["frame_index"].tolist() == [100, 101, 102, 103, 104, 0, 1, 2, 3]
    assert entries["status"].tolist() == [0] * 9
    assert len(set(entries["epoch"][:5])) == len(set(entries["epoch"][5:])) == 1
    assert entries["epoch"][5] > entries["epoch"][0]


def test_kernel_drops_are_attributed_and_counted(open_rig, shm_dir, runtime):
    changes = {"address": "127.0.0.1", "socket_buffer_bytes": 65536, "latency_budget_us": 0, "idle_flush_s": 0.1}
    rig = open_rig(parse_config(document(shm_dir, "jungfrau", 2, udp=changes)))
    n_frames = 40
    for frame_number in range(n_frames):
        rig.send(frame_number, modules=range(1, 2))
    deadline = time.monotonic() + DEADLINE_S
    sent = 128 * n_frames
    received = dropped = 0.0
    while received + dropped < sent and time.monotonic() < deadline:
        rig.receiver.step()
        received = rig.metric("daq_udp_packets_received_total", module="1")
        dropped = rig.metric("daq_udp_kernel_drops_total", module="1")
    assert received + dropped == sent
    assert rig.metric("daq_udp_kernel_drops_total", module="0") == 0
    assert rig.metric("daq_udp_packets_placed_total", module="1") == received


def test_metrics_name_every_reason_for_every_module(open_rig, shm_dir, runtime):
    rig = open_rig(parse_config(document(shm_dir, "eiger", 2)))
    text = generate_latest(rig.context.registry).decode()
    for module in (0, 1):
        for reason in REASONS:
            assert f'daq_udp_packets_rejected_total{{module="{module}",reason="{reason}"}} 0.0' in text
    assert "daq_ring_slots 16.0" in text


def test_two_receivers_share_a_ring(open_rig, shm_dir, runtime):
    udp = {"address": "127.0.0.1", "receivers": ["0-1", "2"], "idle_flush_s": 0.1, "window_frames": 2}
    config = parse_config(document(shm_dir, "eiger", 3, udp=udp))
    first, second = open_rig(config, ModuleRange((0, 1))), open_rig(config, ModuleRange((2, 2)))
    first.send(5)
    for rig, modules in ((first, (0, 1)), (second, (2,))):
        assert rig.wait(1)["frame_index"].tolist() == [5]
        for module in modules:
            first.assert_frame(5, module)


def test_port_that_is_taken_is_named(shm_dir, runtime):
    config = parse_config(document(shm_dir, "eiger", 2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", config.start_udp_port + 1))
        with pytest.raises(PortError, match=str(config.start_udp_port + 1)):
            start(service_context(config, modules=None))


def test_cpu_that_there_is_not_is_told_at_the_start(shm_dir, runtime, tmp_path, capfd):
    udp = {"address": "127.0.0.1", "cpus": [min(os.sched_getaffinity(0)), 4000]}
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(document(shm_dir, "eiger", 2, udp=udp)))
    assert main(["--config", str(path)]) == 2
    assert re.search(r"udp\.cpus.*not allowed to run on CPU 4000", capfd.readouterr().err)


def test_receiver_whose_ring_was_removed_asks_to_be_started_again(open_rig, shm_dir, runtime):
    rig = open_rig(parse_config(document(shm_dir, "eiger", 2)))
    rig.receiver.step()
    rig.ring.segment.path.unlink()
    with pytest.raises(SharedMemoryError, match="was removed while this receiver was running"):
        rig.receiver.step()


def test_thread_that_ends_by_itself_ends_the_service(open_rig, shm_dir, runtime):
    rig = open_rig(parse_config(document(shm_dir, "eiger", 2)))
    port = next(iter(rig.receiver.udp_ports))
    for receiver in rig.receiver._ports[:1]:
        receiver.request_stop()
        receiver.join()
    with pytest.raises(PortError, match=f"{port}: the receiving thread has ended"):
        rig.receiver.step()


def test_modules_that_no_receiver_has_end_with_2(shm_dir, runtime, tmp_path, capfd):
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(document(shm_dir, "eiger", 4)))
    assert main(["--config", str(path), "--modules", "0-1"]) == 2
    assert "udp.receivers: 0-3" in capfd.readouterr().err


class Process:
    """std-udp-recv as a process."""

    def __init__(self, config: Path, metrics_port: int) -> None:
        self._ready = f"http://127.0.0.1:{metrics_port}/health/ready"
        arguments = ["--config", str(config), "--metrics-port", str(metrics_port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "std_udp_recv", *arguments], stderr=subprocess.PIPE, text=True
        )

    def wait_until_ready(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if '"started"' in line:
                urllib.request.urlopen(self._ready, timeout=5).close()
                return
        raise AssertionError("it ended")

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        code = self.process.wait(timeout=2.0)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.mark.long
def test_process_ends_on_sigterm_with_what_it_has_and_goes_on_after_kill(shm_dir, runtime, tmp_path):
    content = document(shm_dir, "jungfrau", 1)
    content["udp"]["idle_flush_s"] = 30.0
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(content))
    config = parse_config(content)
    detector = open_detector(config)
    raw = np.arange(512 * 1024, dtype=np.uint16).reshape(512, 1024)
    sender = PacketSender("127.0.0.1", config.start_udp_port)
    metrics_port = free_tcp_port()

    def send(frame_number: int, n_packets: int) -> None:
        frame = detector.packets(0, frame_number, raw, pulse_id=1, timestamp=1)
        sender.send(frame.packets[:n_packets])

    first = Process(path, metrics_port)
    first.wait_until_ready()
    ring = FrameBuffer.attach(frame_buffer_path(config))
    index = ring.index(3, 0)
    send(3, 100)
    _until(lambda: int(ring.headers[index]["n_received_packets"]) == 100)
    with pytest.raises(SharedMemoryError, match="already writes"):
        start(service_context(config, modules=None))
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert ring.generation(index) % 2 == 1

    second = Process(path, metrics_port)
    second.wait_until_ready()
    assert ring.generation(index) % 2 == 0
    assert int(ring.headers[index]["n_received_packets"]) == 0
    send(4, 128)
    _until(lambda: int(ring.headers[ring.index(4, 0)]["n_received_packets"]) == 128)
    send(5, 64)
    _until(lambda: int(ring.headers[ring.index(5, 0)]["n_received_packets"]) == 64)
    assert second.end(signal.SIGTERM) == 0

    entries = ring.journals[0].read(0, 10).entries
    assert entries["frame_index"].tolist() == [4, 5]
    assert entries["status"].tolist() == [0, ImageStatus.MISSING_PACKETS]
    assert (ring.frame(ring.index(4, 0)).view(np.uint16) == raw.ravel()).all()
    assert not ring.frame(ring.index(5, 0))[64 * 8192 :].any()
    sender.close()
    ring.close()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()
