"""A receiver of a multicast group, and of IPv6 addresses: whole frames come, and only from the detector."""

import itertools
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.cli.__main__ import main
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config import parse_config
from std_daq.imaging.config.paths import frame_buffer_path
from std_daq.imaging.detectors.registry import open_detector
from std_daq.packets.sending import PacketSender
from std_test_kit.cables import add_group_interface
from std_test_kit.free_ports import free_udp_ports
from std_test_kit.network_namespace import NetworkNamespace
from std_test_kit.services import service_context
from std_udp_recv import sender_filter
from std_udp_recv.__main__ import start

DEADLINE_S = 20.0
PLACES = [
    {"address": "239.1.2.3", "interface": "lo"},
    {"address": "239.1.2.3", "interface": "127.0.0.1"},
    {"address": "::1"},
    {"address": "::"},
]


def document(shm_dir: Path, udp: dict[str, Any]) -> dict[str, Any]:
    return {
        "detector_name": "group-test",
        "detector_type": "eiger",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 256,
        "image_pixel_width": 514,
        "start_udp_port": free_udp_ports(1, "::"),
        "module_positions": {"0": [0, 0, 513, 255]},
        "ram_buffer_gb": 0.01,
        "shared_memory": {"directory": str(shm_dir), "frame_slots": 16},
        "udp": {"module_timeout_s": 0.3, "idle_flush_s": 0.1, "window_frames": 2} | udp,
    }


class Rig:
    """A receiver in this process, and senders to it."""

    def __init__(self, written: dict[str, Any]) -> None:
        self.config = parse_config(written)
        self.context = service_context(self.config, modules="0-0")
        self.receiver = start(self.context)
        self.ring = FrameBuffer.attach(frame_buffer_path(self.config))
        self._detector = open_detector(self.config)
        self._stack = ExitStack()

    def sender(self) -> Callable[[int], None]:
        """Return what sends a frame of a number from a socket of its own."""
        place = self.config.udp.place
        host = str(place.address) if place.is_group else place.loopback
        sender = PacketSender(host, self.config.start_udp_port, interface=place.interface, hops=0)
        self._stack.enter_context(sender)

        def send(number: int) -> None:
            raw = np.full(self._detector.raw_frame_shape(), number, np.uint16)
            frame = self._detector.packets(0, number, raw, pulse_id=number, timestamp=9)
            sender.send(frame.packets, lengths=frame.lengths)

        return send

    def wait(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not until() and time.monotonic() < deadline:
            self.receiver.step()
        assert until()

    @property
    def n_frames(self) -> int:
        return self.ring.journals[0].next_sequence

    def metric(self, name: str, **labels: str) -> float:
        value = self.context.registry.get_sample_value(name, labels)
        assert value is not None, name
        return value

    def close(self) -> None:
        self._stack.close()
        self.receiver.close()
        self.ring.close()


@pytest.fixture
def make_rig(shm_dir: Path, runtime: Path) -> Iterator[Callable[[dict[str, Any]], Rig]]:
    rigs: list[Rig] = []

    def make(udp: dict[str, Any]) -> Rig:
        rigs.append(Rig(document(shm_dir, udp)))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.mark.parametrize("udp", PLACES, ids=lambda udp: "-".join(udp.values()))
def test_frames_to_a_group_or_an_ipv6_address_are_received_whole(
    udp: dict[str, Any], make_rig: Callable[[dict[str, Any]], Rig]
) -> None:
    rig = make_rig(udp)
    send = rig.sender()
    for number in range(1, 4):
        send(number)
        rig.wait(lambda number=number: rig.n_frames == number)  # type: ignore[misc]
    assert rig.metric("daq_udp_packets_rejected_total", module="0", reason="foreign_sender") == 0


@pytest.mark.parametrize(
    ("senders", "is_taken"),
    [(["::1"], True), (["::/64"], True), (["fd00::/8"], False), (["10.0.0.0/8"], False), (["10.0.0.1", "::1"], True)],
)
def test_configured_ipv6_senders_are_the_only_ones(
    senders: list[str], is_taken: bool, make_rig: Callable[[dict[str, Any]], Rig]
) -> None:
    rig = make_rig({"address": "::1", "senders": senders})
    rig.sender()(1)
    if is_taken:
        rig.wait(lambda: rig.n_frames == 1)
        return
    rig.wait(lambda: rig.receiver._ports[0].strangers() != {})
    assert rig.receiver._ports[0].strangers().keys() == {"::1"}
    assert rig.n_frames == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
@pytest.mark.parametrize("group", ["239.1.2.3", "ff15::1234"])
def test_a_second_detector_that_sends_to_the_group_is_a_stranger(group: str, shm_dir: Path, runtime: Path) -> None:
    network = NetworkNamespace("group")
    add_group_interface("groups0", network)
    own, other = ("10.9.9.1", "10.9.9.2") if "." in group else ("fd00:9:9::1", "fd00:9:9::2")
    with network.inside():
        rig = Rig(document(shm_dir, {"address": group, "interface": "groups0"}))
        try:
            frames = [frame_of(rig, number) for number in range(1, 12)]
            with sender_from(rig, own) as detector, sender_from(rig, other) as second:
                for number, frame in enumerate(frames[:5], 1):
                    send_all(detector, rig, frame)
                    rig.wait(lambda number=number: rig.n_frames == number)  # type: ignore[misc]
                send_all(second, rig, frames[8])
                rig.wait(lambda: other in rig.receiver._ports[0].strangers())
                assert rig.receiver._ports[0].believed() == [own]
                assert rig.n_frames == 5
        finally:
            rig.close()
            network.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
@pytest.mark.parametrize("group", ["239.1.2.3", "ff15::1234"])
@pytest.mark.parametrize("is_configured", [True, False])
def test_a_second_detector_in_the_group_is_found_while_the_kernel_looks_at_senders(
    group: str, is_configured: bool, shm_dir: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_filter, "CALM_S", 0.2)
    monkeypatch.setattr(sender_filter, "MIN_PACKETS", 8)
    network = NetworkNamespace("filtered-group")
    add_group_interface("groups0", network)
    own, other = ("10.9.9.1", "10.9.9.2") if "." in group else ("fd00:9:9::1", "fd00:9:9::2")
    udp = {"address": group, "interface": "groups0", "idle_flush_s": 3.0} | (
        {"senders": [own]} if is_configured else {}
    )
    with network.inside():
        rig = Rig(document(shm_dir, udp))
        port = rig.receiver._ports[0]
        try:
            with sender_from(rig, own) as detector, sender_from(rig, other) as second:
                numbers = itertools.count(1)

                def send_until(is_done: Callable[[], bool]) -> int:
                    for number in numbers:
                        send_all(detector, rig, frame_of(rig, number))
                        rig.wait(lambda number=number: rig.n_frames >= number - 1)  # type: ignore[misc]
                        if is_done() or number > 3000:
                            break
                    assert is_done()
                    return number

                send_until(lambda: not port.is_asking)
                for _ in range(20):
                    send_until(lambda: True)
                assert not port.is_asking
                send_all(second, rig, frame_of(rig, 5000))
                send_until(
                    lambda: rig.metric("daq_udp_packets_rejected_total", module="0", reason="foreign_sender") > 0
                )
                send_until(lambda: port.is_asking)
                send_all(second, rig, frame_of(rig, 5000))
                send_until(lambda: other in port.strangers())
                n_frames = send_until(lambda: not port.is_asking)
                rig.wait(lambda: rig.n_frames >= n_frames - 1)
                # The journal holds the newest. None before them was lost, either: each has the place of its number.
                entries = rig.ring.journals[0].read(0, n_frames).entries
                assert entries["id"].tolist() == (entries["sequence"] + 1).tolist()
                assert entries["id"][-1] >= n_frames - 1
                assert not entries["status"].any()
        finally:
            rig.close()
            network.close()


def frame_of(rig: Rig, number: int) -> Any:
    raw = np.full(rig._detector.raw_frame_shape(), number, np.uint16)
    return rig._detector.packets(0, number, raw, pulse_id=number, timestamp=9)


def sender_from(rig: Rig, address: str) -> socket.socket:
    place = rig.config.udp.place
    made = socket.socket(place.family, socket.SOCK_DGRAM)
    made.bind((address, 0))
    place.prepare_to_send(made, 0)
    return made


def send_all(made: socket.socket, rig: Rig, frame: Any) -> None:
    for packet, length in zip(frame.packets, frame.lengths, strict=True):
        made.sendto(packet[:length].tobytes(), (str(rig.config.udp.place.address), rig.config.start_udp_port))


def test_simulate_sends_to_the_group_of_the_configuration(
    capsys: pytest.CaptureFixture[str], shm_dir: Path, runtime: Path, tmp_path: Path
) -> None:
    written = document(shm_dir, {"address": "239.1.2.3", "interface": "lo"})
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(written))
    with closing(Rig(written)) as rig:
        assert main(["simulate", "--config", str(file), "--n-images", "3", "--rate-hz", "20", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["n_frames"] == 3
        rig.wait(lambda: rig.n_frames == 3)
