import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from std_daq.errors import CaptureError
from std_daq.imaging.detectors.packet_layout import HeaderField
from std_daq.imaging.simulation.replay_sources import open_source
from std_daq.packets.captures import CaptureWriter, capture_path
from std_daq.packets.dump import Dump
from std_daq.packets.pacing import Pacer
from std_daq.packets.pcap import links
from std_daq.packets.sending import PacketSender
from std_daq.packets.transmission import Transmission
from std_daq.packets.udp_place import UdpPlace
from std_test_kit.ip_packets import over_ethernet, pcap_file, udp_over_ipv4
from std_test_kit.shared_data import REAL_EIGER, needs_data

KEY = HeaderField(0, 8)
PORTS = range(50000, 50004)

Sent = list[tuple[int, bytes]]


class Wire:
    """What all ports sent, in order."""

    def __init__(self) -> None:
        self.sent: Sent = []

    def sinks(self, ports: Sequence[int]) -> dict[int, "Plug"]:
        return {port: Plug(self, port) for port in ports}


class Plug:
    """One port's end of the wire."""

    def __init__(self, wire: Wire, port: int) -> None:
        self.wire = wire
        self.port = port

    def send_from(self, buffer: NDArray[np.uint8], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> int:
        for at, n in zip(offsets, lengths, strict=True):
            self.wire.sent.append((self.port, buffer[at : at + n].tobytes()))
        return len(offsets)


class Time:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 0

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)

    def clock_ns(self) -> int:
        self.now_ns += 1000
        return self.now_ns

    def pacer(self, rate_hz: float) -> Pacer:
        return Pacer(rate_hz, sleep=self.sleep, clock_ns=self.clock_ns)


def packet(frame: int, index: int, n_bytes: int = 100) -> bytes:
    return frame.to_bytes(8, "little") + index.to_bytes(4, "little") + bytes(n_bytes - 12)


def frame_of(sent: tuple[int, bytes]) -> int:
    return int.from_bytes(sent[1][:8], "little")


def write_captures(directory: Path, ports: dict[int, list[bytes]]) -> list[Path]:
    for port, packets in ports.items():
        with CaptureWriter(capture_path(directory, port)) as writer:
            for datagram in packets:
                writer.append(datagram)
    return sorted(directory.glob("*.dat"))


def replay(paths: list[Path], *, rate_hz: float | None = None) -> tuple[Sent, Transmission, Time]:
    wire, time = Wire(), Time()
    replayed = Transmission(open_source(paths, PORTS, KEY), wire.sinks(PORTS), rate_hz=rate_hz, make_pacer=time.pacer)
    replayed.run()
    return wire.sent, replayed, time


def test_all_ports_send_a_frame_before_one_sends_the_next(tmp_path: Path) -> None:
    ports = {port: [packet(frame, i) for frame in range(5) for i in range(40)] for port in PORTS}
    sent, replayed, _ = replay(write_captures(tmp_path, ports))
    assert [frame_of(each) for each in sent] == sorted(frame_of(each) for each in sent)
    for port, packets in ports.items():
        assert [datagram for sent_to, datagram in sent if sent_to == port] == packets
    assert (replayed.n_frames, replayed.n_packets, replayed.n_bytes) == (5, 800, 80_000)


def test_ports_take_turns_within_a_frame(tmp_path: Path) -> None:
    ports = {port: [packet(1, i) for i in range(64)] for port in PORTS}
    sent, _, _ = replay(write_captures(tmp_path, ports))
    assert {port for port, _ in sent[:64]} == set(PORTS)


def test_captured_faults_are_replayed_as_they_are(tmp_path: Path) -> None:
    """A late packet, a duplicate, a lost packet and a restart of the detector."""
    odd = [packet(*each) for each in [(90, 0), (91, 0), (90, 1), (91, 0), (93, 1), (1, 0), (1, 1)]]
    sent, _, _ = replay(write_captures(tmp_path, {50001: odd}))
    assert [datagram for _, datagram in sent] == odd


def test_packets_of_different_lengths_are_replayed(tmp_path: Path) -> None:
    packets = [packet(frame, i, 50 + 30 * (i % 2)) for frame in range(3) for i in range(4)]
    sent, _, _ = replay(write_captures(tmp_path, {50000: packets}))
    assert [datagram for _, datagram in sent] == packets


def test_a_rate_spreads_each_frame_over_its_period(tmp_path: Path) -> None:
    ports = {port: [packet(frame, i) for frame in range(11) for i in range(64)] for port in PORTS}
    _, _, time = replay(write_captures(tmp_path, ports), rate_hz=100)
    # ten periods, and the last frame but for its last burst
    assert time.now_ns / 1e9 == pytest.approx(0.11 - 0.01 / 16, abs=1e-4)


def test_without_a_rate_the_pace_is_bounded(tmp_path: Path) -> None:
    ports = {50000: [packet(frame, i, 8000) for frame in range(10) for i in range(16)]}
    _, replayed, time = replay(write_captures(tmp_path, ports))
    assert time.now_ns / 1e9 == pytest.approx((replayed.n_bytes - 16 * 8000) / 100e6, abs=1e-4)


def test_a_stopped_pacer_ends_the_replay(tmp_path: Path) -> None:
    paths = write_captures(tmp_path, {50000: [packet(frame, 0) for frame in range(10)]})
    stop, wire = threading.Event(), Wire()
    stop.set()
    replayed = Transmission(
        open_source(paths, PORTS, KEY),
        wire.sinks(PORTS),
        rate_hz=0.001,
        make_pacer=lambda rate_hz: Pacer(rate_hz, sleep=stop.wait),
    )
    replayed.run()
    assert len(wire.sent) == 1


def test_a_pcap_is_replayed_in_the_order_of_the_capture(tmp_path: Path) -> None:
    captured = [(50000 + i % 3, packet(i // 7, i, 1000 + i)) for i in range(50)]
    captured[10], captured[20] = captured[20], captured[10]
    packets = [(0, over_ethernet(ip)) for port, datagram in captured for ip in udp_over_ipv4(port, datagram, mtu=600)]
    packets.insert(5, (0, over_ethernet(udp_over_ipv4(9, b"for somebody else")[0])))
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap_file(packets, links.ETHERNET))
    sent, replayed, time = replay([path], rate_hz=10)
    assert sent == captured
    assert replayed.n_frames == 8
    assert 0.7 < time.now_ns / 1e9 < 0.8


def test_a_pcap_with_nothing_for_the_detector_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap_file([(0, over_ethernet(udp_over_ipv4(9, b"x")[0]))], links.ETHERNET))
    with pytest.raises(CaptureError, match="no datagrams to the detector's ports"):
        replay([path])


def test_a_short_datagram_in_a_pcap_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap_file([(0, over_ethernet(udp_over_ipv4(50000, b"abc")[0]))], links.ETHERNET))
    assert replay([path])[0] == [(50000, b"abc")]


def test_a_cut_capture_sends_its_last_whole_frame_and_other_ports_go_on(tmp_path: Path) -> None:
    ports = {port: [packet(frame, i) for frame in range(5) for i in range(4)] for port in (50000, 50001)}
    paths = write_captures(tmp_path, ports)
    with paths[0].open("r+b") as file:
        file.truncate(3 * 4 * 108 + 108 + 50)  # within the second packet of frame 3
    sent, replayed, _ = replay(paths)
    assert [frame_of(one) for one in sent if one[0] == 50000] == [0] * 4 + [1] * 4 + [2] * 4 + [3]
    assert [one[1] for one in sent if one[0] == 50001] == ports[50001]
    [damage] = open_source(paths, PORTS, KEY).damages
    assert f"{paths[0]}: record 13 at byte {13 * 108}" in damage
    assert replayed.n_frames == 5


def test_an_empty_capture_leaves_the_other_ports_alone(tmp_path: Path) -> None:
    paths = write_captures(tmp_path, {50000: [packet(1, 0)], 50001: []})
    source = open_source(paths, PORTS, KEY)
    assert source.damages == [f"{paths[1]}: the file is empty"]
    assert replay(paths)[0] == [(50000, packet(1, 0))]
    with pytest.raises(CaptureError, match=r"50001.dat: the file is empty"):
        open_source(paths[1:], PORTS, KEY)


def test_one_damaged_pcap_of_several_leaves_the_others_whole(tmp_path: Path) -> None:
    def write(name: str, frames: range, n_cut: int = 0) -> Path:
        packets = [(0, over_ethernet(udp_over_ipv4(50000, packet(frame, 0))[0])) for frame in frames]
        content = pcap_file(packets, links.ETHERNET)
        (tmp_path / name).write_bytes(content[: len(content) - n_cut])
        return tmp_path / name

    paths = [write("a.pcap", range(5), 30), write("b.pcap", range(5, 8)), write("c.pcap", range(8, 9), 200)]
    (tmp_path / "d.pcap").touch()
    source = open_source([*paths, tmp_path / "d.pcap"], PORTS, KEY)
    wire, time = Wire(), Time()
    Transmission(source, wire.sinks(PORTS), rate_hz=None, make_pacer=time.pacer).run()
    assert [frame_of(one) for one in wire.sent] == [0, 1, 2, 3, 5, 6, 7]
    assert [damage.partition(":")[0] for damage in source.damages] == [
        str(tmp_path / name) for name in ("d.pcap", "a.pcap", "c.pcap")
    ]


def test_captures_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    paths = write_captures(tmp_path, {50000: [packet(1, 0)], 49999: [packet(1, 0)]})
    with pytest.raises(CaptureError, match="49999 is no port of this detector"):
        open_source(paths, PORTS, KEY)
    again = write_captures(tmp_path / "other", {50000: [packet(1, 0)]})
    with pytest.raises(CaptureError, match="a second capture of port 50000"):
        open_source([paths[1], *again], PORTS, KEY)
    pcap = tmp_path / "a.pcap"
    pcap.write_bytes(pcap_file([], links.RAW))
    with pytest.raises(CaptureError, match="not both"):
        open_source([paths[1], pcap], PORTS, KEY)
    with pytest.raises(CaptureError, match="No such file"):
        open_source([tmp_path / "none.dat"], PORTS, KEY)


@needs_data(REAL_EIGER)
def test_a_real_module_is_replayed_frame_by_frame() -> None:
    ports = range(50032, 50036)
    wire, time = Wire(), Time()
    source = open_source(sorted(REAL_EIGER.glob("*.dat")), ports, KEY)
    replayed = Transmission(source, wire.sinks(ports), rate_hz=10, make_pacer=time.pacer)
    replayed.run()
    assert (replayed.n_frames, replayed.n_packets) == (5, 4 * 640)
    assert [frame_of(each) for each in wire.sent] == [frame for frame in range(29512, 29517) for _ in range(512)]


def test_a_dump_of_a_replay_is_the_capture(tmp_path: Path) -> None:
    with Dump(tmp_path / "dumped", place=UdpPlace.of("127.0.0.1"), ports=[0, 0]) as dump, ExitStack() as stack:
        ports = [port.port for port in dump.ports]
        captured = {port: [packet(frame, i, 200 + i) for frame in range(20) for i in range(16)] for port in ports}
        paths = write_captures(tmp_path, captured)
        senders = {port: stack.enter_context(PacketSender("127.0.0.1", port)) for port in ports}
        replayed = Transmission(open_source(paths, ports, KEY), senders)
        while replayed.step():
            dump.run(is_stopped=lambda: dump.n_packets == replayed.n_packets)
    for path in paths:
        assert (tmp_path / "dumped" / path.name).read_bytes() == path.read_bytes()
