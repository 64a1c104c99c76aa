"""The Receiver made from parts: one module, whose packets come over loopback."""

import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from std_daq.errors import PortError, SharedMemoryError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.detectors.packet_layout import HeaderField, PacketLayout
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.imaging.reception import PortReception, Reception
from std_daq.packets.udp_place import UdpPlace
from std_daq.streams.doorbell import DoorbellPublisher
from std_daq.telemetry.logs import configure_logs
from std_test_kit.wait import wait_until
from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.compilation import compile_loop
from std_udp_recv.ended_signal import EndedSignal
from std_udp_recv.metrics import ReceiverCollector
from std_udp_recv.port import make_port
from std_udp_recv.port_receiver import PortReceiver
from std_udp_recv.receiver import Receiver
from std_udp_recv.reception import ReceptionFile
from std_udp_recv.same_packets import MIN_FRAMES, same_packets_of
from std_udp_recv.udp_socket import UdpSocket

DEADLINE_S = 20.0
LAYOUT = PacketLayout(
    header_bytes=16,
    unit_bytes=64,
    n_units=4,
    units_per_packet=1,
    max_units_per_packet=1,
    key=HeaderField(0, 8),
    unit=HeaderField(8, 8),
    length_hints={50: "is it set to 50?"},
    count_hints={3: "is it set to 3?", 6: "is it set to 6?"},
)


class Parts:
    """A Receiver, and what it was made from."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "frames"
        self.reception_path = folder / "udp-recv.reception.json"
        ring, _ = FrameBuffer.create(
            self.path, n_modules=1, frame_bytes=LAYOUT.frame_bytes, n_units=4, buffer_bytes=0, n_slots=16
        )
        self.seen = FrameBuffer.attach(self.path)
        self.registry = CollectorRegistry()
        signal = EndedSignal()
        port = PortReceiver(
            make_port(LAYOUT, ring, 0, window_frames=2, key_step=1, epoch=1),
            0,
            0,
            UdpSocket(UdpPlace.of("127.0.0.1"), 0, 65536),
            wake_fd=signal.fileno,
            idle_flush_s=30.0,
            latency_budget_us=0,
            cpu=None,
        )
        self.ports = [port]
        announcer = FrameAnnouncer({0: 0}, window=8, timeout_ns=10**9, last=None)
        same_packets = {0: same_packets_of(LAYOUT, port.socket.port, 0)}
        self.receiver = Receiver(
            ring=ring,
            journal=ring.journals[0],
            doorbell=DoorbellPublisher(f"ipc://{folder}/frames.ipc"),
            ports=self.ports,
            signal=signal,
            announcer=announcer,
            same_packets=same_packets,
            metrics=ReceiverCollector(self.registry, self.ports, announcer, ring.n_slots),
            reception=ReceptionFile(self.reception_path, {0: LAYOUT}, same_packets),
            stats_period_s=60.0,
        )
        self._is_open = True

    def reception(self) -> PortReception | None:
        """What the receiver has told of its port; None if it has told nothing yet."""
        if not self.reception_path.exists():
            return None
        (port,) = Reception.model_validate_json(self.reception_path.read_text()).ports
        return port

    def has_told(self, **values: object) -> Callable[[], bool]:
        return lambda: (port := self.reception()) is not None and port.model_dump(include=set(values)) == values

    def send(self, key: int, n_units: int = 4, n_bytes: int = 80) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for unit in range(n_units):
                packet = key.to_bytes(8, "little") + unit.to_bytes(8, "little") + bytes([unit + 1]) * 64
                sender.sendto(packet[:n_bytes], ("127.0.0.1", self.receiver.udp_ports[0]))

    def step_until(self, is_done: Callable[[], bool]) -> None:
        def step() -> bool:
            self.receiver.step()
            return is_done()

        wait_until(step, DEADLINE_S, lambda: str(self.metric("daq_udp_packets_received_total", module="0")))

    @property
    def published(self) -> list[tuple[int, int]]:
        """Frame number and status of the exposures."""
        entries = self.seen.journals[0].read(0, 100).entries
        return list(zip(entries["frame_index"].tolist(), entries["status"].tolist(), strict=True))

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def has_received(self, n_packets: int) -> bool:
        return self.metric("daq_udp_packets_received_total", module="0") == n_packets

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self.receiver.close()

    def remove(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
        self.seen.close()


@pytest.fixture(scope="module")
def compiled_loop() -> None:
    """The receive loop is compiled, as it is when std-udp-recv opens its sockets."""
    compile_loop(None)


@pytest.fixture
def parts(compiled_loop: None, tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    yield parts
    parts.remove()


def test_frame_that_is_whole_is_published_and_counted(parts):
    parts.send(7)
    parts.step_until(lambda: len(parts.published) == 1)
    assert parts.published == [(7, ImageStatus.GOOD)]
    assert bytes(parts.seen.frame(parts.seen.index(7, 0))) == b"".join(bytes([unit]) * 64 for unit in range(1, 5))
    assert parts.metric("daq_udp_packets_placed_total", module="0") == 4
    assert parts.metric("daq_udp_exposures_total", modules="all") == 1


def test_close_publishes_what_is_there_and_removes_the_metrics(parts):
    parts.send(7, n_units=3)
    parts.step_until(lambda: parts.metric("daq_udp_packets_placed_total", module="0") == 3)
    assert parts.published == []
    parts.close()
    assert parts.published == [(7, ImageStatus.MISSING_PACKETS)]
    assert list(parts.registry.collect()) == []
    assert parts.receiver.why_not_ready == "no UDP port is open"


def test_it_is_ready_while_all_ports_are_received_on(parts):
    assert parts.receiver.is_ready
    parts.ports[0].request_stop()
    parts.ports[0].join()
    port = parts.receiver.udp_ports[0]
    assert parts.receiver.why_not_ready == f"not receiving on UDP ports {port}"
    with pytest.raises(PortError, match=f"{port}: the receiving thread has ended"):
        parts.step_until(lambda: False)


def test_other_processes_are_told_what_comes(parts):
    parts.send(7)
    parts.step_until(parts.has_told(received=4, frames_complete=1, rejected={}))
    parts.send(8, n_bytes=50)
    parts.step_until(parts.has_told(received=8, rejected={"wrong_length": 4}))
    parts.send(9, n_units=6)
    parts.step_until(parts.has_told(received=14, rejected={"wrong_length": 4, "unit_out_of_range": 2}))
    port = parts.reception()
    assert (port.module, port.udp_port) == (0, parts.receiver.udp_ports[0])
    assert [length.model_dump() for length in port.refused_lengths] == [
        {"n_bytes": 50, "n_packets": 4, "hint": "is it set to 50?"}
    ]
    assert (port.expected_length, port.packets_per_frame) == ("80", 4)
    assert (port.highest_number, port.highest_number_hint) == (5, "is it set to 6?")


def test_packets_on_a_port_that_was_quiet_are_told_at_once_and_further_ones_within_a_second(parts, tmp_path):
    parts.reception_path = tmp_path / "reception.json"
    file = ReceptionFile(parts.reception_path, {0: LAYOUT}, {})
    file.update(parts.ports, 0.0)
    assert parts.has_told(received=0)()
    for now_s, key, n_told in ((0.1, 7, 4), (0.2, 8, 4), (1.2, 9, 12), (2.3, None, 12), (2.4, 10, 16)):
        if key is not None:
            parts.send(key)
            parts.step_until(partial(parts.has_received, 4 * (key - 6)))
        file.update(parts.ports, now_s)
        assert parts.has_told(received=n_told)(), now_s


def test_other_processes_are_told_of_incomplete_frames(parts):
    parts.send(7, n_units=3)
    for key in range(8, 12):
        parts.send(key)
    parts.step_until(parts.has_told(frames_incomplete=1, last_incomplete=3, last_incomplete_hint="is it set to 3?"))


def test_lengths_beyond_the_first_few_are_counted_together(parts):
    for n in range(20):
        parts.send(7, n_units=1, n_bytes=17 + n)
    parts.step_until(parts.has_told(rejected={"wrong_length": 20}))
    assert [length.n_packets for length in parts.reception().refused_lengths] == [1] * 8


def test_receiver_that_ends_tells_nothing_any_more(parts):
    parts.send(7)
    parts.step_until(parts.has_told(received=4))
    parts.close()
    assert parts.reception() is None


def test_folder_that_is_gone_does_not_end_the_receiver(parts, tmp_path):
    ReceptionFile(tmp_path / "gone" / "reception.json", {0: LAYOUT}, {}).update(parts.ports, 0.0)
    parts.send(7)
    parts.step_until(lambda: len(parts.published) == 1)


def test_ring_that_is_removed_ends_it(parts):
    parts.path.unlink()
    with pytest.raises(SharedMemoryError, match="was removed while this receiver was running"):
        parts.step_until(lambda: False)


def test_frames_that_lack_the_same_packets_are_told_of_once(parts, capfd) -> None:
    configure_logs("warning", json=True)
    for key in range(MIN_FRAMES + 4):
        parts.send(key, n_units=2)
    parts.send(MIN_FRAMES + 4)
    parts.step_until(lambda: len(parts.published) > MIN_FRAMES)
    lines = [line for line in capfd.readouterr().err.splitlines() if "frames_lack_the_same_packets" in line]
    assert len(lines) == 1
    assert "of each frame only packets 0 to 1 come on UDP port" in lines[0]
    assert "4 were expected" in lines[0]
