"""The BoardReceiver made from its configuration: packets of boards come over loopback."""

import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from std_daq.errors import ConfigError, SharedMemoryError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.imaging.reception import describe_reception, read_receptions
from std_daq.telescope.boards import Telescope
from std_test_kit.free_ports import free_udp_ports
from std_test_kit.services import service_context
from std_test_kit.telescope_boards import board_packet, board_pixels, telescope_document
from std_test_kit.wait import wait_until
from std_udp_recv.board_opening import open_board_receiver

DEADLINE_S = 20.0


class Rig:
    """A receiver of a telescope, and what sends to it."""

    def __init__(self, folder: Path, product: str, changes: dict[str, Any], **options: Any) -> None:
        document = telescope_document(product, **options) | {
            "start_udp_port": free_udp_ports(1),
            "runtime_dir": str(folder),
            "shared_memory": {"directory": str(folder), "frame_slots": 64},
            "udp": {"address": "127.0.0.1", "socket_buffer_bytes": 65536, "idle_flush_s": 0.05},
        }
        self.product = product
        self.config = DetectorConfig.model_validate(document | changes)
        self.context = service_context(self.config, "udp-recv", modules=None)
        self.receiver = open_board_receiver(self.context, Telescope(self.config))
        self.seen = FrameBuffer.attach(self.config.ring_paths[0])
        self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._is_open = True

    def send(self, data: bytes) -> None:
        self._sender.sendto(data, ("127.0.0.1", self.receiver.udp_ports[0]))

    def send_board(self, **fields: Any) -> None:
        self.send(board_packet(self.product, **fields))

    def step_until(self, is_done: Callable[[], bool]) -> None:
        def step() -> bool:
            self.receiver.step()
            return is_done()

        wait_until(step, DEADLINE_S)

    @property
    def published(self) -> list[tuple[int, int, int]]:
        """Frame number, status and missing boards of the exposures."""
        entries = self.seen.journals[0].read(0, 100).entries
        return [tuple(entry) for entry in entries[["frame_index", "status", "n_missing_modules"]].tolist()]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.context.registry.get_sample_value(name, labels)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self.receiver.close()

    def remove(self) -> None:
        self.close()
        self._sender.close()
        self.seen.close()
        self.config.ring_paths[0].unlink(missing_ok=True)


@pytest.fixture
def open_rig() -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []
    # The paths of sockets are short, and those of tmp_path are long.
    with tempfile.TemporaryDirectory() as folder:

        def open_one(product: str, changes: dict[str, Any] | None = None, **options: Any) -> Rig:
            rigs.append(Rig(Path(folder), product, changes or {}, **options))
            return rigs[-1]

        yield open_one
        for rig in rigs:
            rig.remove()


def test_frame_of_a_board_has_all_that_its_packet_tells(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig("ph256")
    pixels = board_pixels("ph256", 3)
    rig.send_board(module=254, quarter=2, number=40_000, tai=600, nsec=4_000_000_000, pixels=pixels)
    rig.step_until(lambda: len(rig.published) == 1)
    assert rig.published == [(1, ImageStatus.GOOD, 0)]
    raw = rig.seen.journals[0].read(0, 1).entries
    located = rig.seen.locate(raw, 0)
    assert located is not None
    index, generation = located
    frame = rig.seen.describe(index)
    assert frame.module_id == 254 * 4 + 2
    assert frame.timestamp == int(raw["timestamp"][0]) == 600 << 32 | 4_000_000_000
    assert frame.daq_rec & 0xFFFFFFFF == 1 | 1 << 8 | 40_000 << 16
    assert frame.first_arrival_ns == int(raw["first_arrival_ns"][0]) > 0
    assert rig.seen.frame(index).tobytes() == pixels.tobytes()
    assert rig.seen.headers[index]["received"].tolist() == [1]
    assert rig.seen.is_unchanged(index, generation)


def test_boards_of_a_moment_are_parts_of_one_exposure(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig("img16")
    for number in range(3):
        for quarter in (2, 0, 3, 1):
            if (number, quarter) != (1, 3):
                rig.send_board(quarter=quarter, number=number, nsec=number * 1000 + quarter)
    rig.step_until(lambda: len(rig.published) == 3)
    assert rig.published == [(1, 0, 0), (2, ImageStatus.MISSING_MODULES, 1), (3, 0, 0)]
    assert rig.seen.locate(rig.seen.journals[0].read(1, 1).entries, 3) is None
    assert rig.metric("daq_udp_exposures_total", modules="all") == 2
    assert rig.metric("daq_udp_exposures_total", modules="some") == 1
    assert rig.metric("daq_board_packets_lost_total", source="1", board="3") == 1


def test_lost_images_have_frame_numbers_so_that_a_run_counts_them(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig("ph256")
    for number in (7, 8, 12):
        rig.send_board(number=number, nsec=number)
    rig.step_until(lambda: len(rig.published) == 3)
    assert [frame for frame, *_ in rig.published] == [1, 2, 6]
    assert rig.metric("daq_board_packets_lost_total", source="1", board="0") == 3
    assert rig.metric("daq_udp_packets_lost_total", module="all") == 3, "std-daq status tells of it"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "wrong_length"),
        (bytes(15), "wrong_length"),
        (board_packet("ph256")[:-1], "wrong_length"),
        (board_packet("ph256") + b"x", "wrong_length"),
        (board_packet("ph256")[:64], "wrong_length"),
        (board_packet("ph256", version=2), "foreign_version"),
        (board_packet("ph256", mode=4), "foreign_detector"),
        (board_packet("ph256", mode=0), "foreign_detector"),
        (board_packet("img16"), "other_product"),
        (board_packet("img8"), "other_product"),
        (board_packet("ph256", module=3), "foreign_module"),
    ],
)
def test_packet_that_does_not_fit_is_counted_by_its_reason(
    open_rig: Callable[..., Rig], data: bytes, reason: str
) -> None:
    rig = open_rig("ph256", modules=(1, 2))
    rig.send(data)
    rig.send_board(module=2)
    rig.step_until(lambda: len(rig.published) == 1)
    assert rig.metric("daq_udp_packets_rejected_total", module="all", reason=reason) == 1
    assert rig.metric("daq_udp_packets_received_total", module="all") == 2
    rig.step_until(lambda: bool(read_receptions(rig.config)[0].rejected if read_receptions(rig.config) else False))
    (told,) = describe_reception(read_receptions(rig.config))
    assert "1 packet" in told


def test_packets_of_other_products_go_to_the_receiver_that_wants_them(open_rig: Callable[..., Rig]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(DEADLINE_S)
        rig = open_rig("ph256", others_to=f"127.0.0.1:{other.getsockname()[1]}")
        movie = board_packet("img16", number=5)
        rig.send(movie)
        rig.send_board()
        rig.step_until(lambda: len(rig.published) == 1)
        assert other.recv(2048) == movie
    assert rig.metric("daq_board_packets_passed_on_total") == 1
    assert rig.metric("daq_udp_packets_rejected_total", module="all", reason="other_product") is None


def test_numbers_go_on_in_a_new_epoch_after_a_restart_of_the_receiver(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig("ph256")
    rig.send_board(number=1)
    rig.step_until(lambda: len(rig.published) == 1)
    rig.close()
    again = open_rig("ph256")
    again.send_board(number=2)
    again.step_until(lambda: len(again.published) == 2)
    entries = again.seen.journals[0].read(0, 10).entries
    assert entries["frame_index"].tolist() == [1, 2]
    assert entries["epoch"][1] > entries["epoch"][0]


def test_close_publishes_what_is_there(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig("img8")
    rig.send_board(quarter=1)
    rig.close()
    assert rig.published == [(1, ImageStatus.MISSING_MODULES, 3)]
    assert rig.metric("daq_udp_packets_received_total", module="all") is None
    assert read_receptions(rig.config) == []


def test_ring_that_was_removed_ends_the_receiver(open_rig: Callable[..., Rig]) -> None:
    rig = open_rig("ph256")
    rig.config.ring_paths[0].unlink()
    with pytest.raises(SharedMemoryError, match="was removed"):
        rig.step_until(lambda: False)


def test_telescope_whose_boards_are_all_off_is_refused(open_rig: Callable[..., Rig]) -> None:
    with pytest.raises(ConfigError, match="deactivate"):
        open_rig("img16", {"deactivate": [0, 1, 2, 3]})


def test_boards_that_restart_all_the_time_write_a_line_a_second_however_many_they_are(
    open_rig: Callable[..., Rig],
) -> None:
    rig = open_rig("ph256")
    with capture_logs() as lines:
        for number in (5000, 7, 6000, 8):  # a low number after a gap: the board counts anew
            for module in range(1, 21):
                rig.send_board(module=module, quarter=0, number=number, nsec=number)
        rig.step_until(lambda: rig.metric("daq_udp_packets_received_total", module="all") == 80)
        rig.step_until(lambda: any(line["event"] == "board_restarted" for line in lines))
    told = [line for line in lines if line["event"] == "board_restarted"]
    assert len(told) == 1
    assert told[0]["others"] >= 1
